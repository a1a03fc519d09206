// The only user of node-cron: ticks that enqueue a job and do nothing else. A tick that is missed is made up for by the
// next one. node-cron waits for a time of the wall clock: set back by an hour, that would be an hour without ticks, so
// the ticks are planned anew whenever the wall clock has jumped.
import { schedule as cron, type ScheduledTask } from 'node-cron';
import { monotonicMs, nowMs } from '../base/clock.ts';
import type { Service } from '../base/service.ts';
import type { JobQueue } from './queue.ts';

/** Which job is sent when (cron with seconds). */
const ticks = {
  sweep: '*/5 * * * * *',
  health: '*/10 * * * * *',
  reconcile: '*/30 * * * * *',
  housekeeping: '0 7 * * * *',
} as const;

const lookMs = 2_000;
/** A clock that is merely adjusted moves by less between two looks. */
const jumpMs = 1_000;

export function createSchedule(queue: JobQueue): Service {
  let tasks: ScheduledTask[] = [];
  let timer: NodeJS.Timeout | undefined;
  let offsetMs = 0;

  const plan = (): void => {
    tasks = Object.entries(ticks).map(([name, expression]) =>
      cron(expression, () => queue.send(name, {}, { key: name }), { name, suppressMissedWarning: true }),
    );
  };
  const drop = async (): Promise<void> => {
    const dropped = tasks;
    tasks = [];
    await Promise.all(dropped.map((task) => task.destroy()));
  };
  const look = async (): Promise<void> => {
    const nowOffsetMs = nowMs() - monotonicMs();
    const jumped = Math.abs(nowOffsetMs - offsetMs) > jumpMs;
    offsetMs = nowOffsetMs;
    if (jumped) {
      await drop();
      if (timer !== undefined) plan();
    }
  };

  return {
    name: 'schedule',
    async start() {
      offsetMs = nowMs() - monotonicMs();
      timer = setInterval(() => void look(), lookMs);
      plan();
    },
    async stop() {
      clearInterval(timer);
      timer = undefined;
      await drop();
    },
  };
}
