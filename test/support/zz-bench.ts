import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { freePort, startShim, until } from './shim-harness.ts';

const everything = '/work/main/node_modules/@modelcontextprotocol/server-everything/dist/index.js';
const floorSource = `
const http=require('node:http');const {spawn}=require('node:child_process');
const child=spawn(process.execPath,[${JSON.stringify(everything)},'stdio'],{stdio:['pipe','pipe','ignore']});
let next=1;const pending=new Map();let buf='';
const out=[];let q=false;function send(l){out.push(l);if(!q){q=true;setImmediate(()=>{q=false;child.stdin.write(out.join('\\n')+'\\n');out.length=0;});}}
child.stdout.setEncoding('utf8');child.stdout.on('data',d=>{buf+=d;let i;while((i=buf.indexOf('\\n'))>=0){const l=buf.slice(0,i);buf=buf.slice(i+1);const m=JSON.parse(l);if(m.id!==undefined&&pending.has(m.id)){const [res,id]=pending.get(m.id);pending.delete(m.id);m.id=id;const t=JSON.stringify(m);res.writeHead(200,{'content-type':'application/json','content-length':Buffer.byteLength(t)});res.end(t);}}});
http.createServer((req,res)=>{let b='';req.setEncoding('utf8');req.on('data',d=>b+=d);req.on('end',()=>{const m=JSON.parse(b);if(m.id===undefined){send(b);res.writeHead(202);res.end();return;}const id=next++;pending.set(id,[res,m.id]);m.id=id;send(JSON.stringify(m));});}).listen(Number(process.argv[2]),'127.0.0.1');
`;
writeFileSync('/tmp/bb/floor.cjs', floorSource);
const ticks = (pid: number) => {
  const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(f[11]) + Number(f[12]);
};
const uss = (pid: number) => {
  let p = 0;
  for (const l of readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').split('\n'))
    if (/^Private_(Clean|Dirty)/.test(l)) p += Number(l.replace(/\D+/g, ' ').trim().split(' ')[0]);
  return p / 1024;
};
async function load(port: number, headers: string, n: number, conc: number) {
  let left = n,
    done = 0;
  const t0 = performance.now();
  const lat: number[] = [];
  await Promise.all(
    Array.from(
      { length: conc },
      () =>
        new Promise<void>((resolve, reject) => {
          const s: Socket = connect(port, '127.0.0.1');
          s.setNoDelay(true);
          let buf = '';
          let t = 0;
          const next = () => {
            if (left-- <= 0) {
              s.destroy();
              resolve();
              return;
            }
            t = performance.now();
            const body = JSON.stringify({
              method: 'tools/call',
              params: { name: 'echo', arguments: { message: 'x'.repeat(32) } },
              jsonrpc: '2.0',
              id: ++done,
            });
            s.write(
              `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`,
            );
          };
          s.on('connect', next);
          s.on('error', reject);
          s.on('data', (d) => {
            buf += d.toString('latin1');
            const i = buf.indexOf('\r\n\r\n');
            if (i < 0) return;
            const m = /content-length: (\d+)/i.exec(buf);
            const len = Number(m![1]);
            if (buf.length < i + 4 + len) return;
            if (!buf.startsWith('HTTP/1.1 200')) {
              reject(new Error(buf));
              return;
            }
            buf = buf.slice(i + 4 + len);
            lat.push(performance.now() - t);
            next();
          });
        }),
    ),
  );
  lat.sort((a, b) => a - b);
  const s = (performance.now() - t0) / 1000;
  return { rate: n / s, p50: lat[lat.length >> 1]!, p99: lat[Math.floor(lat.length * 0.99)]! };
}
const N = Number(process.argv[2] ?? 6000);
const shim = await startShim({ child: { args: [everything, 'stdio'] } });
const idle = uss(shim.pid);
const fport = await freePort();
const { shimNodeFlags } = await import('../../src/runtime/shim-bundle.ts');
const floor = spawn(process.execPath, [...shimNodeFlags, '/tmp/bb/floor.cjs', String(fport)], {
  stdio: 'inherit',
});
await until(
  () =>
    fetch(`http://127.0.0.1:${fport}/`, {
      method: 'POST',
      body: '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}',
    }).then(
      (r) => r.text(),
      () => undefined,
    ),
  'floor',
);
await fetch(`http://127.0.0.1:${fport}/`, {
  method: 'POST',
  body: '{"jsonrpc":"2.0","method":"notifications/initialized"}',
});
const r = await fetch(shim.url, {
  method: 'POST',
  headers: { authorization: `Bearer ${shim.token}`, 'content-type': 'application/json' },
  body: '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}',
});
const sid = r.headers.get('mcp-session-id')!;
await r.text();
const h = `Authorization: Bearer ${shim.token}\r\nMcp-Session-Id: ${sid}\r\nMCP-Protocol-Version: 2025-11-25\r\n`;
for (const conc of [16, 1, 64])
  for (let round = 0; round < 3; round++) {
    for (const [name, port, head, pid] of [
      ['floor', fport, h, floor.pid!],
      ['shim', shim.port, h, shim.pid],
    ] as const) {
      const n = conc === 1 ? N / 4 : N;
      const t = ticks(pid);
      const res = await load(port, head, n, conc);
      console.log(
        conc,
        name,
        res.rate.toFixed(0),
        'p50',
        res.p50.toFixed(3),
        'p99',
        res.p99.toFixed(2),
        'cpu us/call',
        (((ticks(pid) - t) * 10000) / n).toFixed(1),
        'uss',
        uss(pid).toFixed(1),
      );
    }
  }
console.log('shim idle uss', idle);
floor.kill('SIGKILL');
await shim.dispose();
process.exit(0);
