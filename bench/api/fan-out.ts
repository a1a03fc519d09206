// How long a change takes until everybody who listens has it.
import { get } from 'node:http';
import { monotonicMs, sleep } from '../../src/base/clock.ts';
import { ask } from './place.ts';

export interface FanOutOptions {
  readonly url: string;
  readonly token: string;
  readonly listeners: number;
  /** Instances to end, one a round: that is the change. */
  readonly ending: readonly string[];
}

/** @returns milliseconds from the request that changes to the first and to the last listener that was told, round by round */
export async function fanOut(options: FanOutOptions): Promise<{ firstMs: number[]; lastMs: number[] }> {
  const { url, token, listeners, ending } = options;
  /** When each listener heard of an instance. */
  const heard = new Map<string, number[]>();
  const over = new AbortController();
  let open = 0;
  for (let at = 0; at < listeners; at += 1) {
    get(
      `${url}/api/v1/stream`,
      { headers: { authorization: `Bearer ${token}` }, agent: false, signal: over.signal },
      (response) => {
        let rest = '';
        response.on('error', () => {});
        response.setEncoding('utf8').on('data', (text: string) => {
          const frames = (rest + text).split('\n\n');
          rest = frames.pop() ?? '';
          for (const frame of frames) {
            if (frame.startsWith('event: resync')) open += 1;
            const id = /^event: instance\n[\s\S]*"id":"([^"]+)"/.exec(frame)?.[1];
            if (id === undefined) continue;
            const times = heard.get(id) ?? [];
            times.push(monotonicMs());
            heard.set(id, times);
          }
        });
      },
    ).on('error', () => {});
  }
  while (open < listeners) await sleep(5);
  const [firstMs, lastMs]: [number[], number[]] = [[], []];
  for (const id of ending) {
    const beganMs = monotonicMs();
    await ask(url, { method: 'DELETE', path: `/api/v1/instances/${id}`, token });
    while ((heard.get(id)?.length ?? 0) < listeners) await sleep(1);
    const times = heard.get(id)?.slice(0, listeners) ?? [];
    firstMs.push(Math.min(...times) - beganMs);
    lastMs.push(Math.max(...times) - beganMs);
  }
  over.abort();
  return { firstMs, lastMs };
}
