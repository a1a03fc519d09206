// Reads Server-Sent Events from a response body (WHATWG HTML, 9.2). Refuses an event larger than the bound: the
// other end is then not one of ours.

export interface SseEvent {
  readonly event: string;
  readonly data: string;
  /** The last id seen, also from earlier events; empty before the first. */
  readonly id: string;
}

const eventCharsMax = 16 * 1_024 * 1_024;

/** The events of a body, one by one; comments and events without data are skipped. Ends with the body. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<SseEvent> {
  const decoder = new TextDecoder();
  let buffer = '';
  let id = '';
  let event = '';
  let data: string[] = [];
  for await (const chunk of body) {
    buffer += decoder.decode(chunk, { stream: true });
    if (buffer.length > eventCharsMax) throw new Error('an event of the stream is larger than 16 MiB');
    // A lone CR at the end may be half of CRLF: it stays until the next chunk tells.
    const lines = buffer.split(/\r\n|\n|\r(?!$)/);
    buffer = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event: event === '' ? 'message' : event, data: data.join('\n'), id };
        event = '';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') data.push(value);
      else if (field === 'event') event = value;
      else if (field === 'id' && !value.includes('\0')) id = value;
    }
  }
}
