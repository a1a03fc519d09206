// What the tests need besides npm: run before them by `npm test`. On Debian as root what is missing is installed from
// the distribution; elsewhere it says loudly what will be skipped and how to get it. With CI=true a missing thing is a
// failure: a skipped test must not look like a passed one.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { browsers, findProgram, unpackedDir } from './programs.ts';

interface Need {
  readonly program: string;
  /** What serves in its place. */
  readonly others?: readonly string[];
  readonly debianPackage: string;
  /** Where it lies in its package, when it is only to be taken out: installing the package would start a service. */
  readonly unpack?: string;
  readonly skipped: string;
  /** What else it may take, beside installing it. */
  readonly remedy?: string;
  /** Proves that it works here, not only that it is there. */
  readonly probe: readonly string[];
}

const needs: readonly Need[] = [
  {
    program: 'bwrap',
    debianPackage: 'bubblewrap',
    skipped: 'the tests of isolation levels L2 and L3 (namespaces)',
    remedy:
      'allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)',
    probe: ['--ro-bind', '/', '/', '--unshare-all', '--proc', '/proc', '--dev', '/dev', 'true'],
  },
  {
    program: 'promtool',
    debianPackage: 'prometheus',
    unpack: 'usr/bin/promtool',
    skipped: 'the tests of the alert rules and of what /metrics prints, by Prometheus itself',
    probe: ['--version'],
  },
  {
    program: browsers[0],
    others: browsers.slice(1),
    debianPackage: 'chromium-headless-shell',
    skipped: 'the tests of the dashboard in a browser',
    probe: ['--version'],
  },
  ...['zsh', 'fish'].map((shell) => ({
    program: shell,
    debianPackage: shell,
    skipped: `the tests of completion in ${shell}`,
    probe: ['-c', 'true'],
  })),
];

const found = ({ program, others = [] }: Need): string | undefined => findProgram(program, ...others);

function isDebian(): boolean {
  if (!existsSync('/etc/os-release')) return false;
  return /^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'));
}

function aptGet(args: readonly string[], cwd = '/'): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=120'];
  execFileSync('apt-get', [...options, ...args], { env, cwd, stdio: 'inherit' });
}

/** Runs what needs the lists of packages; they may be missing or old, so if it fails once more with new ones. */
function withLists(what: string, run: () => void): void {
  console.log(`setup: getting ${what} with apt-get`);
  try {
    try {
      run();
    } catch {
      aptGet(['update']);
      run();
    }
  } catch (error) {
    console.error(`setup: apt-get failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function install(packages: readonly string[]): void {
  if (packages.length === 0) return;
  withLists(packages.join(', '), () => aptGet(['install', '-y', '--no-install-recommends', ...packages]));
}

/** Takes one program out of its package. Appears whole or not at all. */
function unpack({ program, debianPackage }: Need, path: string): void {
  mkdirSync(unpackedDir, { recursive: true });
  const draft = mkdtempSync(join(unpackedDir, 'draft-'));
  try {
    withLists(`${program} out of ${debianPackage}`, () => {
      aptGet(['download', debianPackage], draft);
      const file = readdirSync(draft).find((name) => name.endsWith('.deb')) ?? '';
      execFileSync('dpkg-deb', ['-x', file, 'files'], { cwd: draft });
      renameSync(join(draft, 'files', path), join(unpackedDir, program));
    });
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Why a need is not met, or undefined. */
function faultOf(need: Need): string | undefined {
  const program = found(need);
  if (program === undefined) return `${need.program} is not installed`;
  const probe = spawnSync(program, need.probe, { encoding: 'utf8', timeout: 10_000 });
  return probe.status === 0 ? undefined : `${need.program} does not work here: ${probe.stderr.trim()}`;
}

if (process.platform === 'linux') {
  const missing = needs.filter((need) => found(need) === undefined);
  if (missing.length > 0 && process.getuid?.() === 0 && isDebian()) {
    install(missing.flatMap((need) => (need.unpack === undefined ? [need.debianPackage] : [])));
    for (const need of missing) if (need.unpack !== undefined) unpack(need, need.unpack);
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
        `       To run them: install ${need.debianPackage} ("apt-get install ${need.debianPackage}" as root, or the like).`,
        ...(need.remedy === undefined ? [] : [`       It may also take this: ${need.remedy}.`]),
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
