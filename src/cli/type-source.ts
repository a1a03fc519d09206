// What `types add` is given: an npm package to be named to the daemon, or a server.json from a file, standard input or an
// address. Documents are fetched here, as whoever types the command: the daemon opens no address for anybody.
import { open } from 'node:fs/promises';
import { Fault, messageOf } from '../base/errors.ts';

/** What a request says of it. */
export type TypeSource =
  | { readonly source: string }
  | { readonly source: string; readonly document: unknown };

const documentBytesMax = 256 * 1_024;
const fetchMsMax = 15_000;
const redirectsMax = 3;

/** @throws Fault malformed_request with what is wrong about it */
export async function readTypeSource(
  given: string,
  stdin: () => Promise<string>,
  signal: AbortSignal,
): Promise<TypeSource> {
  if (given.startsWith('npm:')) return { source: given };
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(given)) {
    return { source: given, document: parse(given, await fetchText(given, signal)) };
  }
  return { source: given, document: parse(given, given === '-' ? await stdin() : await readText(given)) };
}

async function readText(path: string): Promise<string> {
  try {
    await using file = await open(path);
    if ((await file.stat()).size > documentBytesMax) throw new Error(tooLarge);
    return await file.readFile('utf8');
  } catch (error) {
    const isPackage = (error as NodeJS.ErrnoException).code === 'ENOENT' && /^@?[\w./-]+$/.test(path);
    const hint = isPackage ? `; a package of npm is written npm:${path}` : '';
    throw new Fault('malformed_request', `${path} cannot be read: ${messageOf(error)}${hint}`);
  }
}

async function fetchText(address: string, signal: AbortSignal): Promise<string> {
  const end = AbortSignal.any([signal, AbortSignal.timeout(fetchMsMax)]);
  let url = new URL(address);
  for (let hops = 0; hops <= redirectsMax; hops += 1) {
    refuseUnsafe(url);
    const response = await fetch(url, {
      signal: end,
      redirect: 'manual',
      headers: { accept: 'application/json' },
    }).catch((error: unknown) => {
      throw new Fault('malformed_request', `${url} cannot be read: ${messageOf(error)}`, { cause: error });
    });
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      url = new URL(location, url);
      continue;
    }
    if (!response.ok) throw new Fault('malformed_request', `${url} answers ${response.status}`);
    return readBody(url, response);
  }
  throw new Fault('malformed_request', `${address} leads from one address to another without an end`);
}

/** What comes over an open line may have been written by anyone on it. */
function refuseUnsafe(url: URL): void {
  const isLoopback = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback)) return;
  throw new Fault('malformed_request', `${url} is not read: only https:// is, or http:// on this machine`);
}

async function readBody(url: URL, response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > documentBytesMax) throw new Fault('malformed_request', `${url}: ${tooLarge}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const tooLarge = `larger than ${documentBytesMax / 1_024} KiB, which no server.json is`;

function parse(from: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('malformed_request', `${from} is not JSON: ${messageOf(error)}`);
  }
}
