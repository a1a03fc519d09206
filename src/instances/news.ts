// Turns what shims say into events. News are hints and may repeat, drop or come late: each carries its generation, and
// apply drops what is stale.
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Era } from '../domain/server-type.ts';
import type { News } from '../runtime/driver.ts';
import type { Apply } from './apply.ts';
import type { Effects } from './effects.ts';
import type { Occurrence } from './occurrence.ts';

export interface NewsOptions {
  readonly apply: Apply;
  readonly effects: Effects;
  readonly log: Logger;
  /** News could not be applied: what they would have changed is found by reconcile. */
  readonly onFailed: (error: unknown) => void;
  /** New lines are in a spool. */
  readonly spooled: (instanceId: string, generation: number) => void;
  /** A shim has found out what its server speaks. */
  readonly eraFound: (instanceId: string, era: Era) => void;
}

/** Makes the listener for Driver.watch. It never throws: what cannot be applied now is found by reconcile. */
export function createNewsListener(options: NewsOptions): (news: News) => void {
  return (news) => {
    if (news.kind === 'spooled') return options.spooled(news.instanceId, news.generation);
    if (news.kind === 'ended') {
      options.spooled(news.instanceId, news.generation);
      return options.effects.ended(news.instanceId, news.generation);
    }
    if (news.shim?.era !== undefined) options.eraFound(news.instanceId, news.shim.era);
    const occurrence = occurrenceOf(news);
    if (occurrence === undefined) return;
    options
      .apply(news.instanceId, occurrence)
      .then((outcome) => options.effects.follow(outcome))
      .catch((error: unknown) => {
        options.log.warn(
          { instance: news.instanceId, reason: messageOf(error) },
          'news could not be applied; reconcile will',
        );
        options.onFailed(error);
      });
  };
}

/** The event behind a shim's state, or undefined when it is none. */
export function occurrenceOf(news: Pick<News, 'generation' | 'shim'>): Occurrence | undefined {
  const { shim, generation } = news;
  if (shim?.phase === 'running') {
    return {
      event: 'ready',
      generation,
      processId: shim.childPid,
      shimRestarts: shim.restarts,
      data: shim.server === null ? {} : { server: shim.server },
    };
  }
  if (shim?.phase === 'restarting') return { event: 'child_down', generation, shimRestarts: shim.restarts };
  return undefined;
}
