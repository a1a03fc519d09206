// What a shim is started with and what it is told: its command line, and the one document on its input. The document
// holds the key and the token's hash; the command line holds neither.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { restartPolicyOf } from '../domain/restart.ts';
import { contractVersion, defaultBounds, type LaunchSpec } from '../shim/contract.ts';
import type { BundleOwner } from './bundle.ts';
import { homeDir, tmpDir } from './bundle-names.ts';
import { buildChildSpec, hasProxy, secretsOf } from './child-spec.ts';
import type { StartSpec } from './driver.ts';
import type { LocalState, ResolvedPackage } from './local-state.ts';
import { proxySocket } from './sandbox.ts';

/** Tasks a shim and the sandbox need beside those of the server, where a limit on its user counts them all. */
const userProcessesExtra = 32;

/** In the bundle: the only thing of it that a sandbox may see, and that only where its type has an allow-list. */
const egressDirName = 'egress';

/** Where the proxy of a generation has its socket. */
export function egressDir(bundle: string): string {
  return join(bundle, egressDirName);
}

/** Wrappers first: each sets what it is for and becomes the next. */
export function shimCommand({ options, isolation, files }: LocalState, owner: BundleOwner): string[] {
  const drop =
    owner.foreign && isolation.setpriv !== null
      ? [
          isolation.setpriv,
          `--reuid=${owner.uid}`,
          `--regid=${owner.gid}`,
          ...['--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--'],
        ]
      : [];
  const limit = isolation.prlimit === null ? [] : [isolation.prlimit, '--core=0:0', '--'];
  return [...limit, ...drop, files.node, ...options.shimNodeFlags, options.shimFile];
}

/** Everything a shim is told. */
export async function launchSpec(
  state: LocalState,
  spec: StartSpec,
  where: { bundle: string; resolved: ResolvedPackage },
): Promise<LaunchSpec> {
  const { options, isolation, files } = state;
  const proxied = hasProxy({ ...isolation, type: spec.type });
  const countsUser = isolation.uids !== null && isolation.cgroups === null;
  return {
    contract: contractVersion,
    instanceId: spec.instanceId,
    generation: spec.generation,
    bundleDir: where.bundle,
    listen: {
      host: options.instanceHost,
      port: spec.port,
      ...(spec.listenFd === undefined ? {} : { fd: 3 }),
    },
    hosts: spec.publicHosts.map((host) => host.toLowerCase()),
    origins: [
      ...options.origins,
      ...spec.publicHosts.flatMap((host) => [`https://${host}`, `http://${host}`]),
    ],
    tokenSha256: spec.tokenSha256,
    lease: { remainingMs: spec.remainingMs, expiresAt: spec.expiresAt.toISOString() },
    child: buildChildSpec({
      instanceId: spec.instanceId,
      type: spec.type,
      config: spec.config,
      apiKey: spec.apiKey,
      // More than the hard limit cannot be had, and asking for it would keep the server from starting.
      limits: { ...spec.limits, openFilesMax: Math.min(spec.limits.openFilesMax, isolation.openFilesMax) },
      home: homeDir(options.dataDir, spec.instanceId),
      tmp: tmpDir(options.dataDir, spec.instanceId),
      package: where.resolved,
      files,
      sandbox: isolation.sandbox,
      netNamespace: isolation.netNamespace,
      prlimit: isolation.prlimit,
      userProcessesMax: countsUser ? spec.limits.processesMax + userProcessesExtra : null,
      compileCache: state.caches.find(where.resolved.dir),
      httpPort: spec.type.transport === 'streamable-http' ? await freePort() : null,
      egressDir: egressDir(where.bundle),
    }),
    ...(proxied
      ? { egress: { socket: `${egressDirName}/${proxySocket}`, hosts: spec.type.egress_hosts } }
      : {}),
    secrets: secretsOf(spec),
    ...(spec.keyVersion === undefined ? {} : { keyVersion: spec.keyVersion }),
    restart: restartPolicyOf(spec.type.restart_policy),
    bounds: defaultBounds,
    ...(spec.logBudget === undefined ? {} : { logBudget: spec.logBudget }),
    legacySse: spec.type.legacy_sse,
    drainMs: spec.drainMs,
    graceMs,
  };
}

/** What a server gets to leave by itself and after SIGTERM, when its shim ends it without being asked. */
const graceMs = 3_000;

/** A port of the loopback that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
