// Tells whoever waits for an instance that its row has changed, within this process. A hint: the row is the truth, and
// changes made by other processes are found by looking again.

export interface Changes {
  announce(id: string): void;
  /** Resolves at the next change of the row, after `ms`, or when the signal aborts; never rejects. */
  next(id: string, ms: number, signal?: AbortSignal): Promise<void>;
}

export function createChanges(): Changes {
  const waiting = new Map<string, Set<() => void>>();
  return {
    announce(id) {
      for (const wake of waiting.get(id) ?? []) wake();
    },
    next(id, ms, signal) {
      if (signal?.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const wakers = waiting.get(id) ?? new Set();
        waiting.set(id, wakers);
        const wake = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', wake);
          wakers.delete(wake);
          if (wakers.size === 0 && waiting.get(id) === wakers) waiting.delete(id);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        signal?.addEventListener('abort', wake, { once: true });
        wakers.add(wake);
      });
    },
  };
}
