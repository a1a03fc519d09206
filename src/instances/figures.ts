// Counts the lives of instances for Prometheus, in this process, from its start on: starts, how long they took, restarts
// and ends by reason. It stands around the driver and around apply and changes nothing that passes through.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { monotonicMs } from '../base/clock.ts';
import { isAtWork } from '../domain/instance.ts';
import type { Driver } from '../runtime/driver.ts';
import type { Admission } from './admission.ts';
import type { Apply, Outcome } from './apply.ts';
import type { Occurrence } from './occurrence.ts';

export interface Figures {
  /** The same driver, whose starts are counted. */
  watchDriver(driver: Driver): Driver;
  /** The same door, whose outcomes are counted. */
  watchApply(apply: Apply): Apply;
  /** Tells how many starts are under way and how many wait for their turn. */
  watchAdmission(admission: Pick<Admission, 'running' | 'waiting'>): void;
}

interface Life {
  readonly type: string;
  readonly generation: number;
  readonly startedMs: number;
  /** Restarts the shim has counted and we have too. */
  restarts: number;
  ready: boolean;
}

/** Registers the figures. Once per registry. */
export function createFigures(registry: Registry): Figures {
  const registers = [registry];
  const starts = new Counter({
    name: 'minimcp_instance_starts_total',
    help: 'Launches of a generation, by type and whether its shim could be started',
    labelNames: ['mcp_type', 'result'],
    registers,
  });
  const seconds = new Histogram({
    name: 'minimcp_instance_start_seconds',
    help: 'From the launch of the shim until the server has answered initialize and tools/list, by type',
    labelNames: ['mcp_type'],
    buckets: [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60],
    registers,
  });
  const restarts = new Counter({
    name: 'minimcp_instance_restarts_total',
    help: 'Starts that were not the first: crashed and lost by themselves, asked, woken and renewed by somebody',
    labelNames: ['reason'],
    registers,
  });
  const ends = new Counter({
    name: 'minimcp_instance_ends_total',
    help: 'Ends of a generation after which none follows by itself, by stop_reason',
    labelNames: ['reason'],
    registers,
  });
  const lives = new Map<string, Life>();

  const noteReady = (life: Life): void => {
    if (!life.ready) seconds.observe({ mcp_type: life.type }, (monotonicMs() - life.startedMs) / 1_000);
    life.ready = true;
  };
  const note = (id: string, occurrence: Occurrence, { row, effects, changed }: Outcome): void => {
    const life = lives.get(id);
    if (life !== undefined && life.generation === occurrence.generation) {
      const counted = occurrence.shimRestarts ?? life.restarts;
      if (counted > life.restarts) restarts.inc({ reason: 'crashed' }, counted - life.restarts);
      life.restarts = Math.max(counted, life.restarts);
      if (occurrence.event === 'ready') noteReady(life);
    }
    if (!changed) return;
    if (effects.includes('launch')) restarts.inc({ reason: restartReason(occurrence) });
    if (occurrence.event !== 'exited') return;
    lives.delete(id);
    if (!isAtWork(row.status)) ends.inc({ reason: row.stop_reason ?? 'unknown' });
  };

  return {
    watchDriver: (driver) => ({
      ...driver,
      async start(spec) {
        const { instanceId, generation, type } = spec;
        const life = { type: type.name, generation, startedMs: monotonicMs(), restarts: 0, ready: false };
        lives.set(instanceId, life);
        try {
          const handle = await driver.start(spec);
          starts.inc({ mcp_type: type.name, result: 'started' });
          return handle;
        } catch (error) {
          lives.delete(instanceId);
          starts.inc({ mcp_type: type.name, result: 'failed' });
          throw error;
        }
      },
    }),
    watchAdmission(admission) {
      new Gauge({
        name: 'minimcp_starts',
        help: 'Starts on this node: under way with the processor to themselves, and waiting for their turn',
        labelNames: ['state'],
        registers,
        collect() {
          this.set({ state: 'running' }, admission.running);
          this.set({ state: 'waiting' }, admission.waiting);
        },
      });
    },
    watchApply: (apply) => async (id, occurrence) => {
      const outcome = await apply(id, occurrence);
      note(id, occurrence, outcome);
      return outcome;
    },
  };
}

function restartReason({ event, actor, restartDelayMs }: Occurrence): string {
  if (event === 'renew') return 'renewed';
  if (event === 'exited') return restartDelayMs === undefined ? 'asked' : 'lost';
  return actor === undefined ? 'woken' : 'asked';
}
