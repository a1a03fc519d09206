// What a tool answered. It comes from a server that others wrote: text stays text, pictures are shown only from data and
// only of image types, and nothing in it becomes a link or markup.
import type { ToolResultView } from '../../../api/contract.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Icon } from '../../components/icons.tsx';
import { formatBytes } from '../../format.ts';
import { plainText } from './log-text.ts';
import { isObject } from './schema-form.ts';

export function ToolResult({ answer }: { readonly answer: ToolResultView }) {
  const { content, structured_content: structured, is_error: isError } = answer;
  const json = JSON.stringify(answer, null, 2);
  return (
    <div class={isError ? 'tool-result failed' : 'tool-result'}>
      <div class="snippet-head">
        <h3>
          <Icon name={isError ? 'warning' : 'check'} />
          {isError ? 'The tool says that it failed' : 'It answered'}
        </h3>
        <CopyButton text={json} what="answer as JSON" />
      </div>
      {content.map((part, at) => (
        <Part key={at} part={part} />
      ))}
      {structured !== undefined && <pre class="code">{JSON.stringify(structured, null, 2)}</pre>}
      {content.length === 0 && structured === undefined && <p class="faint">Nothing was in the answer.</p>}
    </div>
  );
}

function Part({ part }: { readonly part: unknown }) {
  const { type, text, data, mimeType, resource } = (isObject(part) ? part : {}) as Record<string, unknown>;
  if (type === 'text' && typeof text === 'string') return <pre class="code">{shown(text)}</pre>;
  if (type === 'image' && typeof data === 'string') {
    const isPicture = typeof mimeType === 'string' && /^image\/[\w.+-]+$/.test(mimeType) && isBase64(data);
    if (isPicture) return <img src={`data:${mimeType};base64,${data}`} alt="In the answer of the tool" />;
  }
  if (typeof data === 'string')
    return (
      <p class="faint">
        {String(type)}, {String(mimeType)}, {formatBytes(data.length * 0.75)}: not shown here
      </p>
    );
  if (isObject(resource) && typeof resource.text === 'string')
    return <pre class="code">{`${String(resource.uri)}\n\n${shown(resource.text)}`}</pre>;
  return <pre class="code">{JSON.stringify(part, null, 2)}</pre>;
}

/** Indented where it is JSON, as many tools answer. */
function shown(text: string): string {
  if (!/^\s*[[{]/.test(text)) return plainText(text);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return plainText(text);
  }
}

function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/\s]+=*\s*$/.test(text);
}
