// Rounds and what is said of them. Everything that is compared is measured in turn, A B C A B C, so that a busy moment
// of the machine falls on all; the middle value is quoted, with how far the rounds lie apart.

export interface Sample {
  readonly median: number;
  /** A quarter of the values lie below the one, a quarter above the other. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** The middle of some values and how far they lie apart. @throws when there are none */
export function sampleOf(values: readonly number[]): Sample {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) throw new Error('nothing was measured');
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) => quantile(sorted, share)) as [
    number,
    number,
    number,
  ];
  return { median, low, high, count: sorted.length };
}

/** A quantile of values in ascending order, between neighbours where it falls between. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

/** Half the distance of the quartiles, as a share of the middle. */
export function spreadOf(sample: Sample): number {
  return sample.median === 0 ? 0 : (sample.high - sample.low) / 2 / Math.abs(sample.median);
}

export interface RoundOptions<Subject> {
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly measure: (subject: Subject, round: number) => Promise<void>;
  /** Which subject begins the first round. */
  readonly first?: number;
  /** Told before each round. */
  readonly onRound?: (round: number) => void;
}

/** Measures every subject once a round, one after another, starting with another subject each round. */
export async function inRounds<Subject>(options: RoundOptions<Subject>): Promise<void> {
  const { subjects, rounds, measure, onRound, first = 0 } = options;
  for (let round = 0; round < rounds; round += 1) {
    onRound?.(round);
    for (let at = 0; at < subjects.length; at += 1) {
      const subject = subjects[(at + round + first) % subjects.length];
      if (subject !== undefined) await measure(subject, round);
    }
  }
}

/** The middle of what one was to the other, round by round. */
export function ratioOf(ones: readonly number[], others: readonly number[]): number {
  return sampleOf(ones.map((one, round) => one / (others[round] ?? Number.NaN))).median;
}
