// An MCP server over stdio that does nothing but write lines to its standard error, each with its number and the time:
// node chatty-child.cjs <lines a second, 0: as fast as it can> <lines in all>. It begins with the first tools/call.
const { createInterface } = require('node:readline');

const [rate, total] = process.argv.slice(2).map(Number);
const padding = 'the quick brown fox jumps over the lazy dog and back again';
const tickMs = 10;
let written = 0;

const line = () => `${++written} ${Date.now()} ${padding}\n`;

function paced() {
  const startMs = Date.now();
  const timer = setInterval(() => {
    const due = Math.min(total, Math.floor(((Date.now() - startMs) * rate) / 1000));
    while (written < due) process.stderr.write(line());
    if (written >= total) clearInterval(timer);
  }, tickMs);
}

function flood() {
  while (written < total) {
    let text = '';
    for (let i = 0; i < 200 && written < total; i += 1) text += line();
    if (!process.stderr.write(text)) return process.stderr.once('drain', flood);
  }
}

const results = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'chatty', version: '1.0.0' },
  }),
  'tools/list': () => ({ tools: [{ name: 'talk', inputSchema: { type: 'object' } }] }),
  'tools/call': () => {
    (rate === 0 ? flood : paced)();
    return { content: [] };
  },
};

createInterface({ input: process.stdin }).on('line', (text) => {
  const { id, method, params } = JSON.parse(text);
  if (id === undefined) return;
  const result = results[method]?.(params) ?? {};
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
});
