// A stream of events read with fetch. Not an EventSource: that cannot be told after which event to begin, and gives up for
// good when a daemon that restarts answers with a status. Reads until the stream ends, fails, or is aborted.
export interface StreamEvent {
  readonly id: string | undefined;
  readonly data: string;
}

interface EventStreamOptions {
  /** Events after this one. */
  readonly lastId: string;
  readonly signal: AbortSignal;
  readonly onOpen: () => void;
  /** All events of one chunk at a time. */
  readonly onEvents: (events: readonly StreamEvent[]) => void;
}

/** Resolves when the stream ends; throws what fetch throws. A refusal is an Error with its status. */
export async function readEvents(url: string, options: EventStreamOptions): Promise<void> {
  const response = await fetch(url, {
    headers: { accept: 'text/event-stream', 'last-event-id': options.lastId },
    credentials: 'same-origin',
    cache: 'no-store',
    signal: options.signal,
  });
  if (!response.ok || response.body === null) throw new Error(`the stream was answered ${response.status}`);
  options.onOpen();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const { events, left } = splitEvents(rest + value);
    rest = left;
    if (events.length > 0) options.onEvents(events);
  }
}

/** The whole events in a text, and what is left of the one that is still coming. Comments and other fields are skipped. */
export function splitEvents(text: string): { readonly events: StreamEvent[]; readonly left: string } {
  const blocks = text.split('\n\n');
  const left = blocks.pop() ?? '';
  const events = blocks.flatMap((block) => {
    const lines = block.split('\n');
    const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6));
    const id = lines.find((line) => line.startsWith('id: '))?.slice(4);
    return data.length === 0 ? [] : [{ id, data: data.join('\n') }];
  });
  return { events, left };
}
