// What happened, as one would tell it: the sentences of the audit trail, for the timeline of an instance and for the list
// of all events. Pure. An event that is not known here is told by its own name.
import type { EventView } from '../api/contract.ts';
import { countOf, formatMinutes } from './format.ts';

type Data = EventView['event_data'];
type Told = Readonly<Record<string, (data: Data) => string>>;

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

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const part = (data: Data, key: 'before' | 'after'): Data => {
  const value = data[key];
  return typeof value === 'object' && value !== null ? (value as Data) : {};
};

const because = ({ reason }: Data): string =>
  typeof reason === 'string' ? `: ${ends[reason] ?? reason.replaceAll('_', ' ')}` : '';
const minutes = ({ minutes: count }: Data): string =>
  typeof count === 'number' ? `, with a lease of ${formatMinutes(count)}` : '';
const until = ({ expires_at: end }: Data): string =>
  typeof end === 'string' ? ` at ${new Date(end).toLocaleTimeString()}` : '';
const exit = ({ exit_code: code }: Data): string =>
  typeof code === 'number' ? `, with exit code ${code}` : '';

const keyOutcomes: Readonly<Record<string, string>> = {
  moved: 'Went on with a new API key',
  restarted: 'Restarted with a new API key',
  refused: 'Did not start with a new API key, and kept the old one',
};

/** About an instance: it is what they speak of. */
const ofInstances: Told = {
  created: (data) => `Asked for${minutes(data)}`,
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
  key_rolled: ({ outcome }) => keyOutcomes[text(outcome) ?? ''] ?? 'Given a new API key',
  tool_tried: ({ tool }) => `Tried ${text(tool) === undefined ? 'a tool' : `the tool ${tool}`}`,
  receipt: () => 'Ended for good, and proved so',
};

const typeWord = ({ mcp_type: name }: Data): string => (text(name) === undefined ? 'a type' : `type ${name}`);
const tokenWord = ({ name, prefix }: Data): string => `API token ${text(name) ?? text(prefix) ?? ''}`.trim();
const keyWord = ({ key_id: id }: Data): string => `Master key ${text(id) ?? ''}`.trim();

/** About the installation, and the people in it: they name what they speak of. */
const ofTheHouse: Told = {
  type_added: (data) => `Added ${typeWord(data)}${text(data.package) ? ` (${data.package})` : ''}`,
  type_tried: (data) => `Tried ${typeWord(data)}`,
  type_removed: (data) => `Removed ${typeWord(data)}`,
  type_changed: (data) => {
    const isOn = part(data, 'after').is_active;
    const isSwitched = typeof isOn === 'boolean' && isOn !== part(data, 'before').is_active;
    return `${isSwitched ? `Switched ${isOn ? 'on' : 'off'}` : 'Changed'} ${typeWord(data)}`;
  },
  user_created: () => 'User made',
  user_changed: (data) => {
    const is = part(data, 'after').disabled;
    if (is === part(data, 'before').disabled) return 'User changed';
    return is === true ? 'User disabled' : 'User enabled again';
  },
  user_erasing: () => 'Erasure of the user began',
  user_erased: ({ instances }) =>
    `User erased${typeof instances === 'number' ? `, with ${countOf(instances, 'instance')}` : ''}`,
  token_created: (data) => `${tokenWord(data)} made`,
  token_revoked: (data) => `${tokenWord(data)} revoked`,
  api_key_stored: (data) => `API key stored for ${typeWord(data)}`,
  api_key_removed: (data) => `API key removed for ${typeWord(data)}`,
  setting_changed: ({ key, after }) => `Setting ${key} changed to ${JSON.stringify(after)}`,
  master_key_added: (data) => `${keyWord(data)} added`,
  master_keys_rotated: ({ moved, failed }) =>
    `API keys sealed again: ${moved ?? 0} done${typeof failed === 'number' && failed > 0 ? `, ${failed} failed` : ''}`,
  master_key_retired: (data) => `${keyWord(data)} retired`,
  drain_requested: ({ node_id: node, end_instances: ends_ }) =>
    `Drain of ${node} asked for${ends_ === true ? ', ending everything' : ''}`,
  login_link_created: () => 'Login link made',
  login_refused: ({ reason }) => `Login refused${text(reason) ? `: ${reason}` : ''}`,
  session_started: ({ via }) => `Logged in${via === 'login_code' ? ' with a link' : ''}`,
  session_ended: () => 'Logged out',
  creation_refused: ({ per_hour: count }) =>
    `Refused another instance: ${count ?? 'so many'} an hour are allowed`,
};

const told: Told = { ...ofInstances, ...ofTheHouse };

/** Every type of event that has a sentence here, for a choice among them. */
export const eventTypes: readonly string[] = Object.keys(told).sort();

/** `user_created` as words: `User created`. */
export function wordsOf(eventType: string): string {
  return eventType.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());
}

export function sentenceOf({ event_type: type, event_data: data }: EventView): string {
  return told[type]?.(data) ?? wordsOf(type);
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
  if (type === 'restarting') return data.reason !== 'restart';
  if (type === 'key_rolled') return data.outcome === 'refused';
  return ['error', 'limited', 'lost', 'login_refused', 'creation_refused'].includes(type);
}
