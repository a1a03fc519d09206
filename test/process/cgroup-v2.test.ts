// Version 2 of cgroups, as far as a kernel that has it beside version 1 shows it: members, cgroup.kill and removal are
// those of a real hierarchy. The limits need controllers, which such a machine has given to version 1.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { membersOf } from '../../src/runtime/cgroup-parents.ts';
import { groupMembers, joinGroup, killGroup, oomKills, removeGroup } from '../../src/runtime/cgroups.ts';
import { identify, isSame } from '../../src/runtime/process-identity.ts';
import { terminate } from '../../src/runtime/terminate.ts';

/** Where version 2 is mounted and ours to use, if anywhere. */
function findMount(): string | undefined {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((text) => / - cgroup2 /.test(text));
  const mount = line?.split(' ')[4];
  if (mount === undefined) return undefined;
  const probe = join(mount, `minimcp-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return mount;
  } catch {
    return undefined;
  }
}

const mount = findMount();

/** Ignores SIGTERM and keeps starting what does too, each in a session of its own. */
const escapee = `trap '' TERM; while :; do setsid sh -c 'trap "" TERM; sleep 300' & sleep 0.05; done`;

describe.skipIf(mount === undefined)('a group of version 2', () => {
  const dir = join(mount ?? '', `minimcp-test-${process.pid}`);
  beforeAll(() => mkdirSync(dir));
  afterAll(() => removeGroup([dir]));

  async function fill(): Promise<number> {
    const child = spawn('/bin/sh', ['-c', `read go; ${escapee}`], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: {},
    });
    const pid = child.pid ?? -1;
    await joinGroup([dir], pid);
    child.stdin.end('go\n');
    await expect.poll(() => groupMembers([dir]).length).toBeGreaterThan(4);
    return pid;
  }

  it('is killed in one act of the kernel, whatever forks in it, and removed', async () => {
    await fill();
    expect(killGroup([dir])).toBe(true);
    await expect.poll(() => membersOf(dir)).toEqual([]);
    expect(oomKills([dir])).toBe(0);
  });

  it('is emptied by the end of an instance that shares our user and marks nothing', async () => {
    const identity = identify(await fill());
    if (identity === undefined) throw new Error('it has gone');
    const members = groupMembers([dir]).map(identify);
    await terminate(
      {
        identity,
        instanceId: '01939c2e-7d5c-7aaa-8000-000000000002',
        ownsUid: false,
        cgroups: [dir],
        spare: [],
      },
      { drainMs: 0, graceMs: 0, ask: () => Promise.reject(new Error('it is no shim')), mayKill: () => true },
    );
    expect(membersOf(dir)).toEqual([]);
    expect(members.filter((one) => one !== undefined && isSame(one))).toEqual([]);
  });
});
