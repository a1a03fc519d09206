// How to reach the instance from a client: its URL, its access token while there is one to show, and for each client what
// to paste where. A token is known to this page only right after it was made; else a placeholder stands for it.
import { useSignal } from '@preact/signals';
import type { InstanceView, InstanceWithToken } from '../../../api/contract.ts';
import { type ClientName, clients } from '../../../domain/client-config.ts';
import { send } from '../../api/client.ts';
import { offers, startAgain } from '../../api/instance-actions.ts';
import { BusyButton, Button } from '../../components/button.tsx';
import { CopyLine } from '../../components/copy-button.tsx';
import { Confirm } from '../../components/dialog.tsx';
import { EmptyState, Notice } from '../../components/notices.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { absorb } from '../../live.ts';
import { place, setQuery } from '../../router.ts';
import { may } from '../../session-state.ts';
import { ClientSnippet } from './client-snippet.tsx';
import { freshToken, keepToken } from './fresh-token.ts';

/** What people call them; that each client has a name here, the compiler checks. */
const titles: Readonly<Record<ClientName, string>> = {
  'claude-code': 'Claude Code',
  'claude-code-json': 'Claude Code, project',
  'claude-desktop': 'Claude Desktop',
  cursor: 'Cursor',
  vscode: 'VS Code',
  codex: 'Codex',
  gemini: 'Gemini CLI',
  goose: 'Goose',
  windsurf: 'Windsurf',
  cline: 'Cline',
  roo: 'Roo Code',
  opencode: 'OpenCode',
};

export function Connect({ instance }: { readonly instance: InstanceView }) {
  if (instance.status === 'expired') return <Over instance={instance} />;
  const wanted = place.value.query.client;
  const client = clients.find((name) => name === wanted) ?? 'claude-code';
  return (
    <div class="connect">
      <div class="connect-keys">
        <div>
          <p class="label">URL</p>
          <CopyLine text={instance.access_url} what="URL" />
        </div>
        <Token instance={instance} />
      </div>
      <div>
        <Tabs
          label="Clients"
          tabs={clients.map((id) => ({ id, label: titles[id] }))}
          open={client}
          onOpen={(id) => setQuery({ client: id }, { replace: true })}
        >
          <ClientSnippet key={client} instance={instance} client={client} />
        </Tabs>
      </div>
    </div>
  );
}

function Over({ instance }: { readonly instance: InstanceView }) {
  return (
    <EmptyState title="Its lease is over.">
      <p>Renewed, it starts again at the same URL and with the same token.</p>
      {may('instances:write') && offers(instance).renew && (
        <BusyButton
          kind="primary"
          failure={`Could not renew ${instance.name}`}
          onAct={() => startAgain(instance)}
        >
          Renew the lease
        </BusyButton>
      )}
    </EmptyState>
  );
}

function Token({ instance }: { readonly instance: InstanceView }) {
  const asks = useSignal(false);
  const token = freshToken(instance.id);
  const make = async (): Promise<void> => {
    const answer = await send<InstanceWithToken>('POST', `/instances/${instance.id}/token`);
    const { access_token: made, ...view } = answer;
    absorb(view);
    keepToken(instance.id, made);
  };
  return (
    <div>
      <p class="label">Access token</p>
      {token === undefined ? (
        <Notice>
          <p>It was shown once, when it was made, and is not stored.</p>
          {may('instances:write') && (
            <Button
              onClick={() => {
                asks.value = true;
              }}
            >
              Make a new access token…
            </Button>
          )}
        </Notice>
      ) : (
        <>
          <CopyLine text={token} what="access token" />
          <p class="hint">Shown until you leave this instance, and filled in below. It is not stored.</p>
        </>
      )}
      {asks.value && (
        <Confirm
          title="Make a new access token?"
          verb="Make a new one"
          onConfirm={make}
          onClose={() => {
            asks.value = false;
          }}
        >
          <p>
            The token there is stops working at once: clients that hold it are shut out until they are given
            the new one.
          </p>
        </Confirm>
      )}
    </div>
  );
}
