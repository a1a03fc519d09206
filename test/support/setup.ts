// What the tests need besides npm: run before them by `npm test`. On Debian as root what is missing is installed from
// the distribution; elsewhere it says loudly what will be skipped and how to get it. With CI=true a missing thing is a
// failure: a skipped test must not look like a passed one.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

interface Need {
  readonly program: string;
  readonly debianPackage: string;
  readonly skipped: string;
  /** Proves that it works here, not only that it is there. */
  readonly probe: readonly string[];
}

const needs: readonly Need[] = [
  {
    program: 'bwrap',
    debianPackage: 'bubblewrap',
    skipped: 'the tests of isolation levels L2 and L3 (namespaces)',
    probe: ['--ro-bind', '/', '/', '--unshare-all', '--proc', '/proc', '--dev', '/dev', 'true'],
  },
];

function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' }).status === 0;
}

function isDebian(): boolean {
  if (!existsSync('/etc/os-release')) return false;
  return /^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'));
}

function install(packages: readonly string[]): void {
  console.log(`setup: installing ${packages.join(', ')} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const run = (args: readonly string[]): void => {
    execFileSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], { env, stdio: 'inherit' });
  };
  try {
    try {
      run(['install', '-y', '--no-install-recommends', ...packages]);
    } catch {
      // The lists of packages may be missing or old: fetch them, and once more.
      run(['update']);
      run(['install', '-y', '--no-install-recommends', ...packages]);
    }
  } catch (error) {
    console.error(`setup: apt-get failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Why a need is not met, or undefined. */
function faultOf(need: Need): string | undefined {
  if (!isThere(need.program)) return `${need.program} is not installed`;
  const probe = spawnSync(need.program, need.probe, { encoding: 'utf8', timeout: 10_000 });
  return probe.status === 0 ? undefined : `${need.program} does not work here: ${probe.stderr.trim()}`;
}

if (process.platform === 'linux') {
  const missing = needs.filter((need) => !isThere(need.program));
  if (missing.length > 0 && process.getuid?.() === 0 && isDebian()) {
    install(missing.map((need) => need.debianPackage));
  }
  const faults = needs.flatMap((need) => {
    const fault = faultOf(need);
    return fault === undefined ? [] : [{ need, fault }];
  });
  for (const { need, fault } of faults) {
    console.error(
      [
        '!'.repeat(100),
        `setup: ${fault}`,
        `       WILL BE SKIPPED: ${need.skipped}.`,
        `       To run them: install ${need.debianPackage} ("apt-get install ${need.debianPackage}" as root, or the like), and allow`,
        '       unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns).',
        '!'.repeat(100),
      ].join('\n'),
    );
  }
  if (faults.length > 0 && process.env.CI === 'true') {
    console.error('setup: CI=true, so what is missing is a failure');
    process.exitCode = 1;
  }
} else {
  console.error(
    `setup: ${process.platform} is for development: the tests of processes and isolation are skipped.`,
  );
}
