// An answer of any size from the API to standard output, as it comes; never read ahead of whoever reads us.
import { once } from 'node:events';
import type { Query } from './client.ts';
import type { Context } from './context.ts';

/** Writes what GET `path` answers, to the end. */
export async function writeAll(context: Context, path: string, query: Query = {}): Promise<void> {
  for await (const chunk of context.api.download(path, query)) {
    if (!context.streams.out.write(chunk)) await once(context.streams.out, 'drain');
  }
}
