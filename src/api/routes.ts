// Start reading here: every route, what it asks of its caller, and the operation behind it. 'public' needs no token,
// 'session' a cookie, 'anyone' any good API token or a cookie, the rest the scope they name; an admin with the scope admin may do everything.
// A user sees their own things, whatever the scope; only admins with the scope admin see everyone's.

import type { Access } from './auth.ts';
import { streamChanges } from './changes.ts';
import { listAllEvents } from './events.ts';
import { alive, metrics, openapi, ready } from './health.ts';
import {
  extendInstance,
  newAccessToken,
  renewInstance,
  restartInstance,
  restoreInstance,
  stopInstance,
} from './instance-actions.ts';
import { getClientConfig, getStats, listInstanceEvents } from './instance-details.ts';
import { createInstance, getInstance, listInstances, removeInstance } from './instances.ts';
import { addMasterKey, listKeyring, retireMasterKey, rotateMasterKeys } from './keyring.ts';
import { listKeys, putKey, removeKey } from './keys.ts';
import { exportLogs, listLogs, streamLogs } from './logs.ts';
import { drain, listAllNodes, listNodePorts } from './machines.ts';
import { createApiToken, getMe, listApiTokens, revokeApiToken } from './me.ts';
import type { Operation } from './operation.ts';
import { eraseUser, exportMe, exportUser } from './personal-data.ts';
import { getRegistryVersion, listRegistry, listRegistryVersions } from './registry.ts';
import { getHealth } from './report.ts';
import { createLoginLink, endSession, getSession, openSession } from './session.ts';
import { listSettings, putSetting } from './settings.ts';
import { getSummary } from './summary.ts';
import { callTool, listTools } from './tools.ts';
import { createType, getType, listTypes, patchType, removeType, tryType } from './types.ts';
import { getUsage, listAllUsage } from './usage.ts';
import { createUser, getUser, listUsers, patchUser } from './users.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Route = readonly [method: Method, path: string, access: Access, operation: Operation];

const v1 = '/api/v1';

export const routes: readonly Route[] = [
  ['GET', '/healthz', 'public', alive],
  ['GET', '/readyz', 'public', ready],
  ['GET', '/metrics', 'metrics:read', metrics],
  ['GET', `${v1}/openapi.json`, 'public', openapi],

  ['POST', `${v1}/session`, 'public', openSession],
  ['GET', `${v1}/session`, 'session', getSession],
  ['DELETE', `${v1}/session`, 'session', endSession],
  ['POST', `${v1}/login-links`, 'anyone', createLoginLink],

  ['GET', '/v0.1/servers', 'public', listRegistry],
  ['GET', '/v0.1/servers/:server_name/versions', 'public', listRegistryVersions],
  ['GET', '/v0.1/servers/:server_name/versions/:version', 'public', getRegistryVersion],

  ['GET', `${v1}/mcp-types`, 'instances:read', listTypes],
  ['GET', `${v1}/mcp-types/:name`, 'instances:read', getType],
  ['POST', `${v1}/mcp-types`, 'admin', createType],
  ['PATCH', `${v1}/mcp-types/:name`, 'admin', patchType],
  ['DELETE', `${v1}/mcp-types/:name`, 'admin', removeType],
  ['POST', `${v1}/mcp-types/:name/trial`, 'admin', tryType],

  ['POST', `${v1}/instances`, 'instances:write', createInstance],
  ['GET', `${v1}/instances`, 'instances:read', listInstances],
  ['GET', `${v1}/instances/:id`, 'instances:read', getInstance],
  ['DELETE', `${v1}/instances/:id`, 'instances:write', removeInstance],
  ['POST', `${v1}/instances/:id/stop`, 'instances:write', stopInstance],
  ['POST', `${v1}/instances/:id/restart`, 'instances:write', restartInstance],
  ['POST', `${v1}/instances/:id/restore`, 'instances:write', restoreInstance],
  ['POST', `${v1}/instances/:id/renew`, 'instances:write', renewInstance],
  ['POST', `${v1}/instances/:id/extend`, 'instances:write', extendInstance],
  ['POST', `${v1}/instances/:id/token`, 'instances:write', newAccessToken],
  ['GET', `${v1}/instances/:id/logs`, 'instances:read', listLogs],
  ['GET', `${v1}/instances/:id/logs/stream`, 'instances:read', streamLogs],
  ['GET', `${v1}/instances/:id/logs/export`, 'instances:read', exportLogs],
  ['GET', `${v1}/instances/:id/events`, 'instances:read', listInstanceEvents],
  ['GET', `${v1}/instances/:id/stats`, 'instances:read', getStats],
  ['GET', `${v1}/instances/:id/client-config`, 'instances:read', getClientConfig],
  ['GET', `${v1}/instances/:id/usage`, 'instances:read', getUsage],
  ['GET', `${v1}/instances/:id/tools`, 'instances:read', listTools],
  ['POST', `${v1}/instances/:id/tools/:name/call`, 'instances:write', callTool],
  ['GET', `${v1}/summary`, 'instances:read', getSummary],
  ['GET', `${v1}/health`, 'instances:read', getHealth],
  ['GET', `${v1}/usage`, 'instances:read', listAllUsage],
  ['GET', `${v1}/stream`, 'instances:read', streamChanges],

  ['GET', `${v1}/api-keys`, 'keys:read', listKeys],
  ['PUT', `${v1}/api-keys/:mcp_type`, 'keys:write', putKey],
  ['DELETE', `${v1}/api-keys/:mcp_type`, 'keys:write', removeKey],

  ['GET', `${v1}/me`, 'anyone', getMe],
  ['GET', `${v1}/me/export`, 'anyone', exportMe],
  ['GET', `${v1}/tokens`, 'tokens:write', listApiTokens],
  ['POST', `${v1}/tokens`, 'tokens:write', createApiToken],
  ['DELETE', `${v1}/tokens/:id`, 'tokens:write', revokeApiToken],

  ['GET', `${v1}/users`, 'admin', listUsers],
  ['POST', `${v1}/users`, 'admin', createUser],
  ['GET', `${v1}/users/:id`, 'admin', getUser],
  ['PATCH', `${v1}/users/:id`, 'admin', patchUser],
  ['DELETE', `${v1}/users/:id`, 'admin', eraseUser],
  ['GET', `${v1}/users/:id/export`, 'admin', exportUser],
  ['GET', `${v1}/ports`, 'admin', listNodePorts],
  ['GET', `${v1}/nodes`, 'admin', listAllNodes],
  ['GET', `${v1}/events`, 'admin', listAllEvents],
  ['GET', `${v1}/settings`, 'admin', listSettings],
  ['PUT', `${v1}/settings/:key`, 'admin', putSetting],
  ['GET', `${v1}/keyring`, 'admin', listKeyring],
  ['POST', `${v1}/keyring`, 'admin', addMasterKey],
  ['POST', `${v1}/keyring/rotate`, 'admin', rotateMasterKeys],
  ['POST', `${v1}/keyring/:key_id/retire`, 'admin', retireMasterKey],
  ['POST', `${v1}/drain`, 'admin', drain],
];
