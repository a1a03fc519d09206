// What happened to an instance, as one would tell it. Pure. An event that is not known here is told by its own name.
import type { EventView } from '../../../api/contract.ts';
import { formatMinutes } from '../../format.ts';

type Data = EventView['event_data'];

const ends: Readonly<Record<string, string>> = {
  user: 'asked to',
  expired: 'its lease was over',
  deleted: 'it was removed',
  restart: 'to start it again',
  idle: 'nobody used it',
  disabled: 'its owner was disabled',
  start_failed: 'it could not start',
  start_timeout: 'it did not answer in time',
  crash_loop: 'it crashed too often',
  crashed: 'it crashed',
  limit: 'it broke a limit',
  lost: 'its processes had vanished',
};

function because({ reason }: Data): string {
  return typeof reason === 'string' ? `: ${ends[reason] ?? reason}` : '';
}

const until = ({ expires_at: end }: Data): string =>
  typeof end === 'string' ? ` at ${new Date(end).toLocaleTimeString()}` : '';
const exit = ({ exit_code: code }: Data): string =>
  typeof code === 'number' ? `, with exit code ${code}` : '';

const told: Readonly<Record<string, (data: Data) => string>> = {
  created: ({ minutes }) =>
    typeof minutes === 'number' ? `Asked for, with a lease of ${formatMinutes(minutes)}` : 'Asked for',
  started: ({ port, isolation }) =>
    `Process started${port ? ` on port ${port}` : ''}${isolation ? `, isolation ${isolation}` : ''}`,
  ready: () => 'Answered MCP: it runs',
  recovered: () => 'Runs again',
  restarting: (data) => `Is being started again${because(data)}${exit(data)}`,
  restarted: () => 'Ended, to be started again',
  restored: () => 'Started again',
  renewed: () => 'Given a new lease',
  extended: () => 'Lease extended',
  warned: (data) => `Warned that the lease ends${until(data)}`,
  stopping: (data) => `Is being stopped${because(data)}`,
  stopped: (data) => `Stopped${because(data)}${exit(data)}`,
  expired: () => 'Lease over: it was ended',
  error: (data) => `Failed${because(data)}${exit(data)}`,
  limited: () => 'Broke a limit of its type',
  lost: () => 'Its processes had vanished',
  deleting: () => 'Is being removed',
  deleted: () => 'Removed',
  token_changed: () => 'Given a new access token; the old one stopped working',
  receipt: () => 'Ended for good, and proved so',
};

export function sentenceOf({ event_type: type, event_data: data }: EventView): string {
  const tell = told[type];
  return tell ? tell(data) : type.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());
}

/** What a receipt proves, each as a claim and whether it holds. */
export function receiptOf({ event_type: type, event_data: data }: EventView) {
  if (type !== 'receipt') return undefined;
  return [
    { claim: 'no process is left', holds: data.processes === 0 },
    { claim: 'the port is free', holds: data.port_free === true },
    { claim: 'the token is dead', holds: data.token_dead === true },
    { claim: 'the home is wiped', holds: data.home_wiped === true },
  ];
}

/** Whether an event tells of something that went wrong. */
export function isTrouble({ event_type: type, event_data: data }: EventView): boolean {
  return ['error', 'limited', 'lost'].includes(type) || (type === 'restarting' && data.reason !== 'restart');
}
