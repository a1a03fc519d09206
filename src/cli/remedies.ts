// What to type next, by the code of what went wrong: the registry's remedy in the words of the command line. A command
// in double quotes can be typed as it stands; where the failed command named an instance or a type, so does it.
import { type ErrorCode, errorRegistry } from '../base/errors.ts';
import type { Words } from './explain.ts';

type Remedy = (words: Words) => string;

const id = (words: Words): string => words.id || 'ID';
const type = (words: Words): string => words.type || 'TYPE';

/** Where things of each kind are listed. */
const lists: readonly (readonly [word: string, command: string])[] = [
  ['type', 'types ls'],
  ['user', 'users ls'],
  ['token', 'tokens ls'],
  ['key', 'settings get'],
  ['kid', 'keyring ls'],
];

const remedies: Partial<Readonly<Record<ErrorCode, Remedy>>> = {
  unauthorized: () =>
    'Set MINIMCP_TOKEN to an API token; an admin makes one: "minimcp tokens add NAME --user EMAIL".',
  forbidden: () => '"minimcp me" shows what your API token allows; an admin can allow more.',
  not_found: (words) => {
    const [, list = 'ls --all'] = lists.find(([word]) => words[word]) ?? [];
    return `"minimcp ${list}" lists what there is.`;
  },
  email_taken: () => 'One user per address: "minimcp users ls" shows who has it.',
  name_taken: () => 'Choose another with --name; "minimcp ls --all" shows which has it.',
  illegal_in_status: (words) => `"minimcp show ${id(words)}" says where it stands.`,
  restart_required: (words) => `Bring it to this version: "minimcp restart ${id(words)}".`,
  lease_over: (words) => `A new lease on the same URL: "minimcp renew ${id(words)}".`,
  unknown_type: () => '"minimcp types ls" lists the types there are.',
  type_disabled: (words) => `An admin can switch it on: "minimcp types enable ${type(words)}".`,
  type_in_use: (words) => `Switch it off instead: "minimcp types disable ${type(words)}".`,
  type_unavailable: (words) =>
    words.source !== undefined
      ? 'Check its name and version, and that the machine of the daemon reaches the npm registry.'
      : `Install the package that "minimcp types show ${type(words)}" names, or have an admin do it.`,
  api_key_required: (words) => `Store one: "minimcp keys set ${type(words)}".`,
  quota_exceeded: () =>
    '"minimcp ls" shows what you have, "minimcp rm ID" makes room; an admin can allow more.',
  start_queue_full: () => 'Others are starting: try again in a moment.',
  instance_unreachable: (words) =>
    `"minimcp logs ${id(words)}" may say why; "minimcp restart ${id(words)}" starts it again.`,
  instance_timeout: (words) =>
    `What it was asked has been cancelled. What it wrote: "minimcp logs ${id(words)}".`,
  no_port_free: () => 'Wait for a lease to end; an admin sees with "minimcp ports" who holds them.',
  database_unavailable: () =>
    'Running instances go on. Try again; if it lasts, run "minimcp doctor" on the daemon\'s machine.',
  draining: () => 'The daemon is about to stop: start it again with "minimcp up".',
  internal: () =>
    'The daemon\'s log has the cause; "minimcp doctor" on its machine says what is wrong there.',
  config_invalid: () => 'Every fault is listed with its fix; "minimcp doctor" checks them again.',
  port_in_use: () => 'Stop what holds it, or choose another: MINIMCP_PORT=3100 "minimcp up".',
  start_failed: (words) => `What it wrote: "minimcp logs ${id(words)}".`,
  start_timeout: (words) =>
    `What it wrote: "minimcp logs ${id(words)}". Some servers need a network to start.`,
  crash_loop: (words) =>
    `See "minimcp logs ${id(words)}", mend the cause, then "minimcp restart ${id(words)}".`,
  limit_exceeded: (words) => `"minimcp show ${id(words)}" names the limit and the figure.`,
};

/** What can be done about `code`; undefined for one that is not ours. */
export function remedyFor(code: string, words: Words = {}): string | undefined {
  if (!Object.hasOwn(errorRegistry, code)) return undefined;
  const known = code as ErrorCode;
  return remedies[known]?.(words) ?? errorRegistry[known].remedy;
}
