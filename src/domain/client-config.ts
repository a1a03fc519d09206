// What each MCP client wants to be given to reach one instance: a file fragment or a command, and a link where the
// client has one. Pure. Links never carry the token; where a client can read it from its environment or ask for it,
// the file does not carry it either. An unknown token becomes a placeholder, never a guess.
import { type ClientName, clients, forms } from './client-forms.ts';

export { type ClientName, clients };

export interface ClientTarget {
  /** The instance's name: becomes the server's name in the client. */
  readonly name: string;
  readonly url: string;
  /** The access token, when it is known; it is stored nowhere, so mostly it is not. */
  readonly token?: string | undefined;
  /** How the command line is started where the client runs; "minimcp", found by its name, unless it is known better. */
  readonly program?: readonly [string, ...string[]] | undefined;
}

export interface ClientConfig {
  readonly client: ClientName;
  readonly title: string;
  readonly format: 'command' | 'json' | 'toml' | 'yaml';
  /** Where it goes: a file, or a shell. */
  readonly where: string;
  /** Ready to paste. */
  readonly content: string;
  /** The command as an argument vector, when the format is a command. */
  readonly command: readonly string[] | null;
  /** The document as an object, to be merged into the file that is there; null for a command. */
  readonly document: Record<string, unknown> | null;
  /** The environment variable the client reads the token from, when it does. */
  readonly token_variable: string | null;
  /** Installs it with one click; asks for the token or reads it from the environment. */
  readonly link: string | null;
  /** What is left to do by hand. */
  readonly notes: readonly string[];
}

/** Stands where the access token belongs when it is not known. */
export const tokenPlaceholder = '<ACCESS_TOKEN>';

/** The configuration of one client for one instance. Never fails: every client of the list has a form. */
export function clientConfig(client: ClientName, target: ClientTarget): ClientConfig {
  const token = target.token ?? tokenPlaceholder;
  const variable = tokenVariable(target.name);
  const draft = forms[client]({
    name: target.name,
    url: target.url,
    token,
    bearer: `Bearer ${token}`,
    variable,
    program: target.program ?? ['minimcp'],
  });
  const command = draft.command ?? null;
  const document = draft.document ?? null;
  const fromVariable = draft.token_variable ?? null;
  const notes = [...(draft.notes ?? [])];
  if (fromVariable !== null) {
    notes.push(`It reads the token from the environment variable ${fromVariable}: set it before the client.`);
  }
  const content =
    draft.content ??
    (command === null ? JSON.stringify(document, null, 2) : command.map(shellWord).join(' '));
  if (content.includes(tokenPlaceholder)) {
    notes.push(
      `Put the access token in place of ${tokenPlaceholder}: "minimcp token ${target.name}" makes one.`,
    );
  }
  return {
    client,
    title: draft.title,
    format: draft.format ?? (command === null ? 'json' : 'command'),
    where: draft.where,
    content,
    command,
    document,
    token_variable: fromVariable,
    link: draft.link ?? null,
    notes,
  };
}

/** The environment variable for the token of one instance; its own, so that two instances do not share one. */
export function tokenVariable(name: string): string {
  return `MM_TOKEN_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
}

/** One word for a POSIX shell. Double quotes where nothing in it is special there, as people write it. */
function shellWord(word: string): string {
  if (/^[A-Za-z0-9_./:=@%+,-]+$/.test(word)) return word;
  if (!/["$`\\!\n]/.test(word)) return `"${word}"`;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
