// For a type that needs an API key: which one will be used, or that one must be stored first, and where.
import type { ApiKeyView, McpTypeView } from '../../../api/contract.ts';
import { Notice } from '../../components/notices.tsx';
import { useReading } from '../../reading.ts';
import { linkIfThere } from '../../router.ts';
import { may } from '../../session-state.ts';

export function KeyNotice({ type }: { readonly type: McpTypeView }) {
  const keys = useReading<readonly ApiKeyView[]>(may('keys:read') ? '/api-keys' : undefined, {
    query: { limit: 200 },
    topics: ['keys'],
  });
  const href = linkIfThere('/keys', { type: type.name });
  if (keys.data === undefined) return null;
  const key = keys.data.find(({ mcp_type: name }) => name === type.name);
  if (key)
    return (
      <Notice>
        It gets your stored API key <code>{key.key_hint ?? 'for this type'}</code>.{' '}
        {href && <a href={href}>Replace it</a>}
      </Notice>
    );
  return (
    <Notice>
      <p class="notice-title">{type.display_name} needs an API key, and you have stored none.</p>
      <p>
        {href ? <a href={href}>Store one under Keys</a> : <code>minimcp keys set {type.name}</code>} first: it
        is kept encrypted, and never typed in here.
      </p>
    </Notice>
  );
}
