// A registry of npm packages on the loopback, as far as npm asks: what there is of a package, and its tarballs. It can be
// made to send something else than it vouches for.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

export interface NpmRegistry {
  readonly url: string;
  /** Paths that were asked for. */
  readonly asked: readonly string[];
  /** Adds a version of a package; the newest published is "latest". */
  publish(manifest: Manifest, files: Readonly<Record<string, string>>): Promise<void>;
  /** From now on its tarballs are not what is vouched for. */
  tamper(name: string): void;
  close(): Promise<void>;
}

type Manifest = { readonly name: string; readonly version: string } & Record<string, unknown>;

interface Package {
  readonly versions: Record<string, unknown>;
  readonly tarballs: Map<string, Buffer>;
  latest: string;
}

export async function openNpmRegistry(): Promise<NpmRegistry> {
  const packages = new Map<string, Package>();
  const tampered = new Set<string>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    asked.push(path);
    const [, name = '', file] = /^\/((?:@[^/]+\/)?[^/]+)(?:\/-\/(.+))?$/.exec(path) ?? [];
    const found = packages.get(name);
    const tarball = file === undefined ? undefined : found?.tarballs.get(file);
    if (tarball !== undefined)
      return response.end(tampered.has(name) ? Buffer.concat([tarball, tarball]) : tarball);
    if (found === undefined || file !== undefined) return response.writeHead(404).end('{}');
    response.setHeader('content-type', 'application/json');
    const { versions, latest } = found;
    return response.end(JSON.stringify({ name, 'dist-tags': { latest }, versions }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;

  return {
    url,
    asked,
    async publish(manifest, files) {
      const { name, version } = manifest;
      const tarball = await tarballOf({ 'package.json': JSON.stringify(manifest), ...files });
      const file = `${name.replace('/', '-')}-${version}.tgz`;
      const dist = {
        tarball: `${url}/${name}/-/${file}`,
        integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
      };
      const known: Package = packages.get(name) ?? { versions: {}, tarballs: new Map(), latest: version };
      known.versions[version] = { ...manifest, dist };
      known.tarballs.set(file, tarball);
      known.latest = version;
      packages.set(name, known);
    },
    tamper: (name) => void tampered.add(name),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** An npm package: plain files in a gzipped ustar archive, under package/. */
async function tarballOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const header = Buffer.alloc(512);
    const body = Buffer.from(text);
    header.write(`package/${name}`, 0);
    header.write('0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write('0', 156);
    header.write('ustar\0', 257);
    header.write('00', 263);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return promisify(gzip)(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}
