// Server-sent events as they come over a wire that cuts anywhere.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readEvents, type SseEvent } from '../../src/cli/sse.ts';

async function* pieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const sorted = [...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  let from = 0;
  for (const to of [...sorted, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

async function read(text: string, cuts: readonly number[] = []): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  for await (const event of readEvents(pieces(new TextEncoder().encode(text), cuts))) events.push(event);
  return events;
}

const stream =
  'retry: 2000\n\n: a comment\n\nid: 1\nevent: line\ndata: {"a":"é"}\n\n' +
  'data: two\r\ndata:  lines\r\n\r\nid: 3\n\ndata: x\rid: 4\r\rdata: never ended';

const expected: SseEvent[] = [
  { event: 'line', data: '{"a":"é"}', id: '1' },
  { event: 'message', data: 'two\n lines', id: '1' },
  { event: 'message', data: 'x', id: '4' },
];

it('reads ids, names, comments, all three line ends, and drops what was not ended', async () => {
  expect(await read(stream)).toEqual(expected);
});

it('reads the same wherever the wire cuts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { maxLength: 20 }), async (cuts) => {
      expect(await read(stream, cuts)).toEqual(expected);
    }),
  );
});

it('gives up on an event without an end', async () => {
  async function* flood(): AsyncGenerator<Uint8Array> {
    for (;;) yield new Uint8Array(1_024 * 1_024).fill(120);
  }
  const reading = (async () => {
    for await (const event of readEvents(flood())) expect(event).toBeUndefined();
  })();
  await expect(reading).rejects.toThrow('larger than 16 MiB');
});
