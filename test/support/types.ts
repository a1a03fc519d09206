// Server types made for a test: a program of a few lines as a package in the store of a daemon, as if npm had fetched
// it, and the type that starts it.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What adds types: a daemon, or a supervisor of a bench. */
interface Adder {
  readonly dataDir: string;
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number }>;
}

/** Adds a type whose server is `code` (a module). `meta` is our part of its server.json. */
export async function addProgramType(
  daemon: Adder,
  name: string,
  code: string,
  meta: Record<string, unknown> = {},
): Promise<void> {
  // Another program each time, though daemons share what is in their stores.
  const identifier = `fixture-${name}-${randomBytes(4).toString('hex')}`;
  const dir = join(
    daemon.dataDir,
    'store',
    'packages',
    `${identifier}@1.0.0-npm`,
    'node_modules',
    identifier,
  );
  await mkdir(dir, { recursive: true, mode: 0o755 });
  await writeFile(
    join(dir, 'package.json'),
    JSON.stringify({ name: identifier, version: '1.0.0', type: 'module', bin: 'server.mjs' }),
    { mode: 0o644 },
  );
  await writeFile(join(dir, 'server.mjs'), code, { mode: 0o644 });
  const document = {
    name: `test.fixtures/${name}`,
    title: name,
    description: 'A fixture',
    version: '1.0.0',
    packages: [{ registryType: 'npm', identifier, version: '1.0.0', transport: { type: 'stdio' } }],
    _meta: { 'dev.minimcp/type': { name, script: 'server.mjs', max_duration_minutes: 60, ...meta } },
  };
  const answer = await daemon.call('POST', '/mcp-types?enable=true', document);
  if (answer.status !== 201) throw new Error(`the type was refused: ${JSON.stringify(answer)}`);
}

/** A server that answers initialize and tools/list, and then does something. */
export function answersThen(code: string): string {
  return `
    let text = '';
    process.stdin.on('data', (chunk) => {
      text += chunk;
      for (let end = text.indexOf('\\n'); end >= 0; end = text.indexOf('\\n')) {
        const message = JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
        const result = message.method === 'initialize'
          ? { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'fixture', version: '1.0.0' } }
          : message.method === 'tools/list' ? { tools: [] } : { content: [] };
        if (message.id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }) + '\\n');
        if (message.method === 'tools/list') setTimeout(() => { ${code} }, 50);
      }
    });`;
}

/** What each line of a flood has, its end included. */
export const floodLineBytes = 1_000;

/** Answers calls with their message; "flood" has it write so many bytes, in lines of a thousand, as fast as they are taken, "flooded" is answered when they are. */
export const floodingServer = `
  import { createInterface } from 'node:readline';
  const serverInfo = { name: 'flooding', version: '1.0.0' };
  const slice = ('f'.repeat(${floodLineBytes - 1}) + '\\n').repeat(60);
  const flood = (left, done) => left > 0 ? process.stderr.write(left < slice.length ? slice.slice(0, left) : slice, () => flood(left - slice.length, done)) : done();
  let flooded = Promise.resolve();
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    const text = params?.arguments?.message;
    if (params?.name === 'flood') flooded = new Promise((done) => flood(params.arguments.bytes, done));
    if (params?.name === 'flooded') await flooded;
    const result = method === 'initialize'
      ? { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo }
      : method === 'tools/list' ? { tools: [] } : { content: text === undefined ? [] : [{ type: 'text', text: 'Echo: ' + text }] };
    process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
  }).on('close', () => process.exit(0));`;
