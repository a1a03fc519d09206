// Names and paths of an instance's files. A name is checked before it becomes a path. Pure.
import { join } from 'node:path';

export interface BundleName {
  readonly instanceId: string;
  readonly generation: number;
}

export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const generationPattern = /^[1-9]\d{0,9}$/;

/** Where everything of an instance lies. @throws when the id is not a UUID: it never becomes a path then */
export function instanceDir(dataDir: string, instanceId: string): string {
  if (!uuidPattern.test(instanceId)) throw new Error('an instance is named by a UUID in lower case');
  return join(dataDir, 'instances', instanceId);
}

/** The home an instance keeps from generation to generation. */
export function homeDir(dataDir: string, instanceId: string): string {
  return join(instanceDir(dataDir, instanceId), 'home');
}

/** Its TMPDIR, emptied at each start. */
export function tmpDir(dataDir: string, instanceId: string): string {
  return join(instanceDir(dataDir, instanceId), 'tmp');
}

/** The bundle of one generation: spool, control socket, state files. */
export function bundleDir(dataDir: string, { instanceId, generation }: BundleName): string {
  if (!Number.isInteger(generation) || !generationPattern.test(String(generation))) {
    throw new Error('a generation is a whole number from 1');
  }
  return join(instanceDir(dataDir, instanceId), String(generation));
}
