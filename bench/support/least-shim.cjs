// The least a bridge can be, as the floor to measure against: one POST is one line to the child, one line back is the
// answer. No token, no checks, no bounds, no notifications, no streams, no restart: nothing to run for real.
// Usage: node least-shim.cjs PORT COMMAND ARGS…
const { spawn } = require('node:child_process');
const { randomUUID } = require('node:crypto');
const { createServer } = require('node:http');

const [port, command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
child.once('exit', () => process.exit(1));

const waiting = new Map();
const sessions = new Set();
let nextId = 1;
let queued = [];
let rest = '';
let initialized;

function send(message) {
  if (queued.length === 0) setImmediate(flush);
  queued.push(JSON.stringify(message));
}

function flush() {
  child.stdin.write(`${queued.join('\n')}\n`);
  queued = [];
}

function ask(message, done) {
  const id = nextId++;
  waiting.set(id, { id: message.id, done });
  send({ ...message, id });
}

child.stdout.setEncoding('utf8');
child.stdout.on('data', (chunk) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    const message = JSON.parse(line);
    const call = waiting.get(message.id);
    if (call === undefined || message.method !== undefined) continue;
    waiting.delete(message.id);
    message.id = call.id;
    call.done(message);
  }
});

function answer(response, message, headers) {
  const text = JSON.stringify(message);
  response.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

function take(request, response, message) {
  if (request.method === 'GET') return void response.writeHead(405).end();
  const session = request.headers['mcp-session-id'];
  if (request.method === 'DELETE') {
    sessions.delete(session);
    return void response.writeHead(200).end();
  }
  if (message.method === 'initialize') {
    const id = randomUUID();
    sessions.add(id);
    return void initialized.then(({ result }) =>
      answer(response, { jsonrpc: '2.0', id: message.id, result }, { 'Mcp-Session-Id': id }),
    );
  }
  if (!sessions.has(session)) return void response.writeHead(404).end();
  if (message.id === undefined) return void response.writeHead(202).end();
  ask(message, (answered) => answer(response, answered));
}

const clientInfo = { name: 'least-shim', version: '0' };
const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
initialized = new Promise((resolve) => ask({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, resolve));
initialized.then(() => send({ jsonrpc: '2.0', method: 'notifications/initialized' }));

createServer({ noDelay: true }, (request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => take(request, response, body === '' ? {} : JSON.parse(body)));
}).listen(Number(port), '127.0.0.1');
