// Opens the owner's present API key and has the shim of a running instance change to it. The key passes through and is
// kept nowhere.
import { Fault } from '../base/errors.ts';
import type { Instance } from '../domain/instance.ts';
import type { Rekeyed } from '../runtime/driver.ts';
import { type EffectsOptions, findHandle } from './effect-options.ts';

/**
 * Resolves once the new key is in use, or is known not to be.
 * @throws Fault illegal_in_status, api_key_required, secrets_unavailable, node_fenced
 */
export async function handOverKey(
  options: EffectsOptions,
  row: Instance,
  signal: AbortSignal,
): Promise<Rekeyed & { readonly apiKeyId: string }> {
  const [type, handle] = await Promise.all([options.typeById(row.mcp_type_id), findHandle(options, row)]);
  if (type === undefined || type.key_variable === null || handle === undefined)
    throw new Fault('illegal_in_status', `"${row.name}" runs without an API key`);
  const key = await options.openKey(row.user_id, type.id);
  if (key === null) throw new Fault('api_key_required', 'its API key has been removed or is over');
  const apiKeyId = key.id;
  // What speaks HTTP has sessions of its own, which no other process can go on with.
  if (type.transport !== 'stdio') return { outcome: 'unsupported', apiKeyId };
  const { version, plaintext: value } = key;
  const change = { version, variable: type.key_variable, value };
  return { ...(await options.driver.rekey(handle, change, signal)), apiKeyId };
}
