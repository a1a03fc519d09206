// What doctor finds out about the shims that live: whether this version can speak with them. Only looks.
import { listBundles } from '../runtime/bundle.ts';
import { isSame } from '../runtime/process-identity.ts';
import { readRecord } from '../runtime/state-files.ts';
import { contractVersion } from '../shim/contract.ts';
import type { Check } from './doctor-check.ts';

/** Ids that are named one by one. */
const namedMax = 5;

/** Whether every living shim speaks the contract of this version. */
export async function checkShims(dataDir: string): Promise<Check> {
  const name = 'shims';
  const records = await Promise.all(
    (await listBundles(dataDir)).map((bundle) => readRecord(dataDir, bundle)),
  );
  const living = records.filter((record) => record !== undefined).filter(isSame);
  const foreign = living.filter(({ contract }) => contract !== contractVersion);
  if (foreign.length === 0)
    return {
      name,
      state: 'ok',
      detail: `${living.length} alive, all of contract ${contractVersion}`,
      remedy: null,
    };
  const contracts = [...new Set(foreign.map(({ contract }) => contract))].join(', ');
  const ids = foreign.slice(0, namedMax).map(({ instanceId }) => instanceId);
  const more = foreign.length > namedMax ? ` and ${foreign.length - namedMax} more` : '';
  return {
    name,
    state: 'warn',
    detail: `${foreign.length} of ${living.length} speak contract ${contracts}, this version ${contractVersion}: ${ids.join(', ')}${more}`,
    remedy:
      'They serve until their leases end and cannot be extended. Run the version that started them, or restart these ' +
      'instances to bring them to this one.',
  };
}
