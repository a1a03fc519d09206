// TOML and YAML with an entry put in and taken out again by its lines alone. Pure. Refuses every form of the section but
// the one that the client itself writes, and to take apart what is not ours.
import { Fault } from '../base/errors.ts';

/** The text without the one place where `block` stands in it, and without the empty line before it. */
export function withoutBlock(file: string, text: string, block: string): string {
  const [before, after, more] = `${text}${text.endsWith('\n') ? '' : '\n'}`.split(block);
  if (before === undefined || after === undefined || more !== undefined) throw notOurs(file);
  return after === '' ? before.replace(/\n\n$/, '\n') : before + after.replace(/^\n/, '');
}

export function notOurs(file: string): Fault {
  return new Fault(
    'illegal_in_status',
    `${file} does not have the entry any more as it was put in: take it out by hand`,
  );
}

export function byHand(file: string, why: string): Fault {
  return new Fault(
    'illegal_in_status',
    `${file} ${why}: put this into it by hand, "minimcp config" prints it`,
  );
}

export function withToml(file: string, text: string, content: string): string {
  const [heading = ''] = content.split('\n');
  const key = heading.slice('[mcp_servers.'.length, -1);
  const same = [heading, `[mcp_servers."${key}"]`];
  if (text.split(/\r?\n/).some((line) => same.includes(line.trim())))
    throw byHand(file, `has ${heading} already`);
  if (/^\s*mcp_servers\s*=/m.test(text))
    throw byHand(file, 'has mcp_servers in a form that cannot be added to');
  const gap = text === '' || text.endsWith('\n\n') ? '' : text.endsWith('\n') ? '\n' : '\n\n';
  return `${text}${gap}${content}\n`;
}

const section = 'extensions:';

/** @param content the section and the entry below it, as clientConfig has them */
export function withYaml(file: string, text: string, content: string): string {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => line.startsWith(section));
  if (at === -1) return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${content}\n`;
  const [, key = '', ...rest] = content.split('\n');
  const below = lines.slice(at + 1).findIndex((line) => /^[^\s#]/.test(line));
  const inside = lines.slice(at + 1, below === -1 ? undefined : at + 1 + below);
  const first = inside.find((line) => line.trim() !== '' && !line.trim().startsWith('#'));
  if (!/^extensions:(?: +\{\})?\s*$/.test(lines[at] ?? '') || (first !== undefined && !/^ {2}\S/.test(first)))
    throw byHand(file, `has "${section}" in a form that cannot be added to`);
  const name = key.trim().replaceAll('"', '');
  if (inside.some((line) => line.trim().replaceAll(/["']/g, '') === name && /^ {2}\S/.test(line)))
    throw byHand(file, `has "${name}" already`);
  return lines.toSpliced(at, 1, section, key, ...rest).join('\n');
}

export function withoutYaml(file: string, text: string, content: string): string {
  const entry = `${content.slice(section.length + 1)}\n`;
  const at = text.indexOf(entry);
  // In the middle of another entry it would be somebody else's.
  if (at > 0 && text[at - 1] !== '\n') throw notOurs(file);
  const left = withoutBlock(file, text, entry);
  // A section that has nothing below it is read as null, which is no list of extensions.
  return left.replace(/^extensions:[ \t]*\n(?! )/m, 'extensions: {}\n');
}
