// Where `ls --watch` shows what it knows: on a terminal one table, drawn again in place and counting down, on the
// terminal's second screen, so that the first is found again as it was; elsewhere a line, or document, per change.
import type { InstanceView } from '../api/contract.ts';
import { monotonicMs } from '../base/clock.ts';
import type { Context } from './context.ts';
import { instanceLine, instanceTable } from './instance-text.ts';
import { cut } from './width.ts';

export interface Board {
  /** The whole list, read anew. */
  replace(instances: readonly InstanceView[]): void;
  /** One of it is now so; undefined: gone, or not in the list any more. */
  change(id: string, instance: InstanceView | undefined): void;
  lost(lost: boolean): void;
  close(): void;
}

/** One line, or with --json one document, per instance at first and per change from then on. */
export function createLineBoard(context: Context): Board {
  const known = new Map<string, string>();
  const write = (document: unknown, text: string): void => {
    context.streams.out.write(`${context.json ? JSON.stringify(document) : text}\n`);
  };
  const change = (id: string, instance: InstanceView | undefined): void => {
    const now = instance === undefined ? undefined : essence(instance);
    if (known.get(id) === now) return;
    if (instance === undefined || now === undefined) {
      known.delete(id);
      write({ id, removed: true }, `${id} is gone`);
    } else {
      known.set(id, now);
      write(instance, instanceLine(instance, context.paint));
    }
  };
  return {
    replace(instances) {
      const there = new Set(instances.map(({ id }) => id));
      for (const id of [...known.keys()]) if (!there.has(id)) change(id, undefined);
      for (const instance of instances) change(instance.id, instance);
    },
    change,
    lost: () => {},
    close: () => {},
  };
}

/** All of an instance but the time at which that was so: what is told twice is told once. */
function essence({ server_time: _, ...instance }: InstanceView): string {
  return JSON.stringify(instance);
}

const tickMs = 1_000;
const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const eraseRight = '\u001b[K';
const eraseBelow = '\u001b[J';

/** The table. Whoever makes it closes it: until then the terminal is its own. */
export function createScreenBoard(context: Context): Board {
  const out = context.streams.out as NodeJS.WriteStream;
  let instances: readonly InstanceView[] | undefined;
  let isLost = false;
  /** The server's clock, less this process's monotonic one. */
  let offsetMs = 0;
  const draw = (): void => {
    const look = { paint: context.paint, columns: out.columns };
    const now = new Date(monotonicMs() + offsetMs).toISOString();
    const shown =
      instances === undefined
        ? 'Waiting for the daemon …'
        : instances.length === 0
          ? 'No instances. Ask for one: minimcp run everything --ttl 1h'
          : instanceTable(instances, look, now);
    const foot = isLost ? 'The daemon does not answer; waiting for it …' : 'Ctrl-C ends watching.';
    const lines = fitRows(shown.split('\n'), out.rows - 2);
    const all = [...lines, '', context.paint(isLost ? 'yellow' : 'dim', cut(foot, out.columns))];
    out.write(`${home}${all.map((line) => line + eraseRight).join('\n')}${eraseBelow}`);
  };
  const learn = ({ server_time: time }: InstanceView): void => {
    offsetMs = Date.parse(time) - monotonicMs();
  };
  const timer = setInterval(draw, tickMs);
  out.on('resize', draw);
  out.write(enter);
  draw();
  return {
    replace(list) {
      instances = list;
      if (list[0] !== undefined) learn(list[0]);
      draw();
    },
    change(id, instance) {
      const rest = (instances ?? []).filter((other) => other.id !== id);
      if (instance !== undefined) learn(instance);
      const at = (instances ?? []).findIndex((other) => other.id === id);
      // The list is newest first, and so is what is new.
      instances = instance === undefined ? rest : rest.toSpliced(Math.max(0, at), 0, instance);
      draw();
    },
    lost(lost) {
      isLost = lost;
      draw();
    },
    close() {
      clearInterval(timer);
      out.off('resize', draw);
      out.write(leave);
    },
  };
}

/** As many lines as there is room for, the last of them saying how many are missing. */
function fitRows(lines: readonly string[], max: number): readonly string[] {
  if (lines.length <= max) return lines;
  const shown = lines.slice(0, Math.max(1, max - 1));
  return [...shown, `… and ${lines.length - shown.length} more`];
}
