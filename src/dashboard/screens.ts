// Every screen of the page, in the order of the navigation. A screen that is not here is linked from nowhere.
import type { FunctionComponent } from 'preact';
import type { Scope } from '../domain/scopes.ts';
import { EventsScreen } from './screens/events.tsx';
import { HealthScreen } from './screens/health.tsx';
import { InstanceScreen } from './screens/instance.tsx';
import { InstancesScreen } from './screens/instances.tsx';
import { KeysScreen } from './screens/keys.tsx';
import { PortsScreen } from './screens/ports.tsx';
import { SettingsScreen } from './screens/settings.tsx';
import { TokensScreen } from './screens/tokens.tsx';
import { TypeScreen } from './screens/type.tsx';
import { TypesScreen } from './screens/types.tsx';
import { UsersScreen } from './screens/users.tsx';

export interface Screen {
  /** The path in the hash; `:name` is a parameter. */
  readonly path: string;
  /** Its word in the navigation; screens without one are reached from another screen. */
  readonly nav?: string;
  /** Without this scope it is not offered. */
  readonly scope?: Scope;
  readonly view: FunctionComponent<{ readonly params: Readonly<Record<string, string>> }>;
}

export const screens: readonly Screen[] = [
  { path: '/instances', nav: 'Instances', scope: 'instances:read', view: InstancesScreen },
  { path: '/instances/:id', scope: 'instances:read', view: InstanceScreen },
  { path: '/types', nav: 'Types', scope: 'instances:read', view: TypesScreen },
  { path: '/types/:name', scope: 'instances:read', view: TypeScreen },
  { path: '/keys', nav: 'Keys', scope: 'keys:read', view: KeysScreen },
  { path: '/tokens', nav: 'Tokens', scope: 'tokens:write', view: TokensScreen },
  { path: '/users', nav: 'Users', scope: 'admin', view: UsersScreen },
  { path: '/ports', nav: 'Ports', scope: 'admin', view: PortsScreen },
  { path: '/events', nav: 'Events', scope: 'admin', view: EventsScreen },
  { path: '/settings', nav: 'Settings', scope: 'admin', view: SettingsScreen },
  { path: '/health', nav: 'Health', scope: 'instances:read', view: HealthScreen },
];
