// What doctor finds out about isolation: each rung of the ladder is tried for real, with a helper process that ends at
// once. Without a data directory it tries in a temporary one, which it removes.
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probeIsolation } from '../runtime/isolation.ts';
import { type Isolation, missingRungs, reaches } from '../runtime/ladder.ts';
import { placeRuntime, storeDir } from '../runtime/store.ts';
import type { Check } from './doctor-check.ts';

export async function checkIsolation(dataDir: string): Promise<Check> {
  const found = await probe(dataDir);
  const { level } = found;
  const lines = missingRungs(found).map((rung) => `${rung.level} (${rung.meaning}): ${rung.reason}`);
  return {
    name: 'isolation',
    state: reaches(level, 'L3') ? 'ok' : 'warn',
    detail: `this machine reaches ${level}`,
    remedy: lines.length === 0 ? null : lines.join('\n'),
  };
}

async function probe(dataDir: string): Promise<Isolation> {
  const hasStore = await stat(storeDir(dataDir)).then(
    () => true,
    () => false,
  );
  if (hasStore) return probeIn(dataDir);
  const scratch = await mkdtemp(join(tmpdir(), 'minimcp-doctor-'));
  try {
    // Helpers run as users of their own, who must be able to pass.
    await chmod(scratch, 0o711);
    return await probeIn(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function probeIn(dataDir: string): Promise<Isolation> {
  return probeIsolation({ dataDir, files: await placeRuntime(dataDir) });
}
