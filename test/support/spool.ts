// Spools as shims write them, for tests of the log path.
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SpoolLine } from '../../src/shim/contract.ts';

export interface TestSpool {
  readonly dir: string;
  /** Appends numbered lines of the child; the first is the one after the last. */
  lines(count: number, message?: (seq: number) => string): Promise<void>;
  /** Appends text as it is. */
  raw(text: string | Buffer): Promise<void>;
  /** From here on into the next segment. */
  roll(): Promise<void>;
}

export async function openTestSpool(dataDir: string, instanceId: string, generation = 1): Promise<TestSpool> {
  const dir = join(dataDir, 'instances', instanceId, String(generation), 'spool');
  await mkdir(dir, { recursive: true });
  let segment = 1;
  let seq = 0;
  const path = (): string => join(dir, `${String(segment).padStart(10, '0')}.ndjson`);
  return {
    dir,
    async lines(count, message = (number) => `line ${number}`) {
      let text = '';
      for (let i = 0; i < count; i += 1) {
        seq += 1;
        text += lineText({ seq, msg: message(seq) });
      }
      await appendFile(path(), text);
    },
    raw: (text) => appendFile(path(), text),
    async roll() {
      segment += 1;
      await writeFile(path(), '');
    },
  };
}

/** One line of a spool, with its newline. */
export function lineText(line: Partial<SpoolLine>): string {
  return `${JSON.stringify({ seq: 1, t: Date.now(), level: 'info', source: 'process', msg: 'a line', ...line })}\n`;
}
