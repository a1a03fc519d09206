// The only user of node-cron: ticks that enqueue a job and do nothing else. A tick that is missed is made up for by the
// next one.
import { schedule as cron, type ScheduledTask } from 'node-cron';
import type { Service } from '../base/service.ts';
import type { JobQueue } from './queue.ts';

/** Which job is sent when (cron with seconds). */
const ticks = {
  sweep: '*/5 * * * * *',
  health: '*/10 * * * * *',
  reconcile: '*/30 * * * * *',
  housekeeping: '0 7 * * * *',
} as const;

export function createSchedule(queue: JobQueue): Service {
  let tasks: ScheduledTask[] = [];
  return {
    name: 'schedule',
    async start() {
      tasks = Object.entries(ticks).map(([name, expression]) =>
        cron(expression, () => queue.send(name, {}, { key: name }), { name, suppressMissedWarning: true }),
      );
    },
    async stop() {
      await Promise.all(tasks.map((task) => task.destroy()));
      tasks = [];
    },
  };
}
