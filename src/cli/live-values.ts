// What can stand for an argument or an option's value at this moment, asked of the daemon: for completion, and for
// "did you mean". The notation says what is meant: `<id>` an instance, `<type>` a server type.
import type {
  ApiTokenView,
  InstanceView,
  MasterKeyView,
  McpTypeView,
  SettingView,
  UserView,
} from '../api/contract.ts';
import type { Api } from './client.ts';
import { oneLine } from './output.ts';

export interface Value {
  readonly value: string;
  /** What tells it from the others. */
  readonly about: string;
}

const sources: Readonly<Record<string, (api: Api) => Promise<Value[]>>> = {
  id: async (api) =>
    (await api.all<InstanceView>('/instances', { include_ended: true })).data.map((instance) => ({
      value: instance.name,
      about: `${instance.mcp_type}, ${instance.status}`,
    })),
  type: async (api) =>
    (await api.all<McpTypeView>('/mcp-types')).data.map((type) => ({
      value: type.name,
      about: oneLine(type.description ?? type.display_name),
    })),
  user: async (api) =>
    (await api.all<UserView>('/users')).data.map((user) => ({
      value: user.email,
      about: oneLine(user.name),
    })),
  token: async (api) =>
    (await api.all<ApiTokenView>('/tokens')).data.map((token) => ({
      value: token.name,
      about: token.scopes.join(', '),
    })),
  key: async (api) =>
    (await api.all<SettingView>('/settings')).data.map((setting) => ({
      value: setting.key,
      about: JSON.stringify(setting.value),
    })),
  kid: async (api) =>
    (await api.all<MasterKeyView>('/keyring')).data.map((key) => ({ value: key.key_id, about: key.state })),
};

/** Whether the daemon knows what `<name>` can be. */
export function isLive(name: string): boolean {
  return Object.hasOwn(sources, name);
}

/** What `<name>` can be now; nothing where that cannot be found out. */
export async function liveValues(api: Api, name: string): Promise<Value[]> {
  const source = isLive(name) ? sources[name] : undefined;
  if (source === undefined) return [];
  return source(api).catch(() => []);
}
