// What an API token may be good for. Pure: the command line knows them without loading the contract.

export const scopes = [
  'instances:read',
  'instances:write',
  'keys:read',
  'keys:write',
  'tokens:write',
  'metrics:read',
  'admin',
] as const;
export type Scope = (typeof scopes)[number];
