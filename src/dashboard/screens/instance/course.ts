// Measurements over time, made ready to be drawn and told. Pure.

export interface UsageSample {
  readonly at: string;
  readonly cpu_percent: number | null;
  readonly memory_bytes: number | null;
  readonly requests: number;
  readonly in_flight: number;
  readonly sessions: number;
}

export interface Course {
  /** Seconds since 1970, rising. */
  readonly at: readonly number[];
  readonly cpu: readonly (number | null)[];
  readonly memory: readonly (number | null)[];
}

/** A span of time, in seconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A hole of more than so many steps is a hole: it was not running. */
const stepsMax = 2.5;

/** The columns of a plot, from `sinceMs` on, with nothing drawn over the time it did not run. */
export function courseOf(samples: readonly UsageSample[], sinceMs: number): Course {
  const at: number[] = [];
  const cpu: (number | null)[] = [];
  const memory: (number | null)[] = [];
  const shown = samples.filter((sample) => Date.parse(sample.at) >= sinceMs);
  const times = shown.map((sample) => Date.parse(sample.at) / 1_000);
  const steps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  const holeS = stepsMax * Math.max(60, middleOf(steps) ?? 60);
  for (const [index, sample] of shown.entries()) {
    const time = times[index] ?? 0;
    const before = at.at(-1);
    if (before !== undefined && time - before > holeS) {
      at.push(before + 1);
      cpu.push(null);
      memory.push(null);
    }
    at.push(time);
    cpu.push(sample.cpu_percent);
    memory.push(sample.memory_bytes);
  }
  return { at, cpu, memory };
}

export interface Digest {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly newest: number;
}

/** What a course comes to, or undefined when nothing was measured. */
export function digestOf(values: readonly (number | null)[]): Digest | undefined {
  const known = values.filter((value) => value !== null);
  const median = middleOf(known);
  const newest = known.at(-1);
  if (median === undefined || newest === undefined) return undefined;
  return { min: Math.min(...known), median, max: Math.max(...known), newest };
}

function middleOf(values: readonly number[]): number | undefined {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}
