// Prints the lifecycle table as the document docs/state-machine.md. Pure; a test holds the two equal.
import { statuses } from './instance.ts';
import { type Branch, events, lifecycle } from './lifecycle.ts';

/** The document, in Markdown. */
export function stateMachineDocument(): string {
  const lines = [
    '# The life of an instance',
    '',
    'Printed from `src/domain/lifecycle.ts` by `npm run docs:states`; do not edit by hand.',
    '',
    'Every change of an instance is an event that meets a status. The first branch whose condition holds is taken: it',
    'names the next status and the effects that follow once it is written. An event that is not listed is illegal in that',
    'status: a person gets 409 (`illegal_in_status`) or 410 (`lease_over`), a machine is ignored. "–" changes nothing.',
    '',
  ];
  for (const status of statuses) {
    lines.push(`## ${status}`, '', '| event | if | becomes | effects |', '|---|---|---|---|');
    for (const event of events) {
      for (const branch of lifecycle[status][event] ?? []) lines.push(row(status, event, branch));
    }
    lines.push('');
  }
  return lines.join('\n');
}

function row(status: string, event: string, branch: Branch): string {
  const becomes = branch.to === status ? '–' : branch.to;
  return `| ${event} | ${branch.when ?? ''} | ${becomes} | ${branch.effects.join(', ')} |`;
}
