// Every screen of the page, in the order of the navigation. A screen that is not here is linked from nowhere.
import type { FunctionComponent } from 'preact';
import type { Scope } from '../api/contract.ts';
import { InstanceScreen } from './screens/instance.tsx';
import { InstancesScreen } from './screens/instances.tsx';

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
];
