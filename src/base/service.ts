// One contract for everything that runs: start once, stop once, stop ends everything it began. Services are started
// in order and stopped in reverse; a stop that fails is logged and the next still happens.
import type { Logger } from './log.ts';

export interface Service {
  readonly name: string;
  start(): Promise<void>;
  /** Resolves when nothing of the service runs any more. Safe to call twice, and before start. */
  stop(): Promise<void>;
}

/** Starts services in order; if one fails, those already started are stopped again and its error is thrown. */
export async function startAll(services: readonly Service[], log: Logger): Promise<void> {
  const started: Service[] = [];
  try {
    for (const service of services) {
      started.push(service);
      await service.start();
    }
  } catch (error) {
    await stopAll(started, log);
    throw error;
  }
}

/** Stops services in reverse order. Never throws. */
export async function stopAll(services: readonly Service[], log: Logger): Promise<void> {
  for (const service of [...services].reverse()) {
    try {
      await service.stop();
    } catch (error) {
      log.error({ err: error, service: service.name }, 'service did not stop cleanly');
    }
  }
}
