// What one client wants to be given, as the API writes it. A token that is known is put in place of the placeholder here,
// in the reader's browser: the API does not know it any more.
import type { ComponentProps } from 'preact';
import type { InstanceView } from '../../../api/contract.ts';
import { type ClientConfig, type ClientName, tokenPlaceholder } from '../../../domain/client-config.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { ReadingView } from '../../components/notices.tsx';
import { useReading } from '../../reading.ts';
import { freshToken } from './fresh-token.ts';

interface SnippetProps {
  readonly instance: InstanceView;
  readonly client: ClientName;
}

/** Schemes of links the API may give; anything else would be a link we did not mean. */
const linkSchemes = /^(?:cursor|vscode):/;

export function ClientSnippet({ instance, client }: SnippetProps) {
  const reading = useReading<ClientConfig>(`/instances/${instance.id}/client-config`, { query: { client } });
  return (
    <ReadingView reading={reading} what="The configuration">
      {(config) => <Snippet config={config} token={freshToken(instance.id)} />}
    </ReadingView>
  );
}

function Snippet({ config, token }: { readonly config: ClientConfig; readonly token: string | undefined }) {
  const text = token === undefined ? config.content : config.content.replaceAll(tokenPlaceholder, token);
  const notes = config.notes.filter((note) => !note.includes(tokenPlaceholder));
  // The API says how the command line makes one; here there is a button.
  if (text.includes(tokenPlaceholder))
    notes.push(
      `Put the access token in place of ${tokenPlaceholder}, or make a new one above: it is filled in.`,
    );
  const variable = config.token_variable;
  return (
    <div class="snippet">
      <div class="snippet-head">
        <p>
          {config.format === 'command' ? 'Type in ' : 'Put into '}
          <b>{config.where}</b>
        </p>
        <CopyButton text={text} what={config.format === 'command' ? 'command' : 'configuration'} />
        {config.link && linkSchemes.test(config.link) && (
          <a class="button primary" href={config.link}>
            Add to {config.title}
          </a>
        )}
      </div>
      <Code>{text}</Code>
      {variable !== null && (
        <>
          <p>Before the client is started:</p>
          <Code>{`export ${variable}=${token ?? tokenPlaceholder}`}</Code>
        </>
      )}
      {notes.length > 0 && (
        <ul class="notes">
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** Scrolls sideways, so it can be reached by the keyboard. */
function Code({ children }: { readonly children: ComponentProps<'code'>['children'] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <pre class="code" tabIndex={0}>
      <code>{children}</code>
    </pre>
  );
}
