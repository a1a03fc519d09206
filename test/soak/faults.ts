// What may go wrong in a soak, each for real and each healed again before it resolves. Times and victims are drawn by
// the caller's dice, so that a seed repeats a run.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Instance } from '../../src/domain/instance.ts';
import type { Daemon } from '../support/daemon.ts';
import { processesOf, signalAll } from '../support/gated.ts';
import type { OwnDatabase } from '../support/own-database.ts';
import type { PgProxy } from '../support/pg-proxy.ts';

export interface Scene {
  readonly daemon: Daemon;
  readonly proxy: PgProxy;
  readonly database: OwnDatabase;
  /** A number from 0 up to, not including, `below`. */
  readonly draw: (below: number) => number;
  /** An instance at work, if there is one. */
  readonly victim: () => Promise<Instance | undefined>;
}

/** Milliseconds something is away or stopped. */
const pauseMs = ({ draw }: Scene): number => 200 + draw(4_000);

async function restart({ daemon }: Scene): Promise<void> {
  await daemon.kill9();
  await daemon.start();
}

const shimOf = (row: Instance | undefined): number[] => (row === undefined ? [] : [processesOf(row).shim]);
const childrenOf = (row: Instance | undefined): readonly number[] =>
  row === undefined ? [] : processesOf(row).children;

async function pause(pids: readonly number[], ms: number): Promise<void> {
  signalAll(pids, 'SIGSTOP');
  await sleep(ms);
  signalAll(pids, 'SIGCONT');
}

export const faults: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  'nothing at all': () => sleep(100),
  'supervisor killed': restart,
  'supervisor killed, away a while': async (scene) => {
    await scene.daemon.kill9();
    await sleep(pauseMs(scene));
    await scene.daemon.start();
  },
  'supervisor killed before a statement': async (scene) => {
    const wanted = 1 + scene.draw(60);
    let seen = 0;
    const reached = new Promise<void>((resolve) => {
      scene.proxy.beforeStatement = () => {
        seen += 1;
        if (seen < wanted) return;
        resolve();
        return new Promise<void>(() => {});
      };
    });
    await reached;
    await scene.daemon.kill9();
    scene.proxy.beforeStatement = undefined;
    await scene.daemon.start();
  },
  'supervisor killed twice, the second time while it starts': async (scene) => {
    await scene.daemon.kill9();
    const starting = scene.daemon.start().catch(() => {});
    await sleep(scene.draw(1_500));
    await scene.daemon.kill9();
    await starting;
    await scene.daemon.start();
  },
  'supervisor stopped cleanly': async ({ daemon }) => {
    await daemon.terminate();
    await daemon.start();
  },
  'supervisor paused': (scene) => pause([scene.daemon.pid()], pauseMs(scene)),
  'shim killed': async ({ victim }) => signalAll(shimOf(await victim()), 'SIGKILL'),
  'shim told to end': async ({ victim }) => signalAll(shimOf(await victim()), 'SIGTERM'),
  'shim paused': async (scene) => pause(shimOf(await scene.victim()), pauseMs(scene)),
  'child killed': async ({ victim }) => signalAll(childrenOf(await victim()), 'SIGKILL'),
  'child paused': async (scene) => pause(childrenOf(await scene.victim()), pauseMs(scene)),
  'shim and child killed without a supervisor': async (scene) => {
    const row = await scene.victim();
    await scene.daemon.kill9();
    signalAll([...shimOf(row), ...childrenOf(row)], 'SIGKILL');
    await scene.daemon.start();
  },
  'database cut off': async (scene) => {
    scene.proxy.cut();
    await sleep(pauseMs(scene));
    scene.proxy.reopen();
  },
  'database killed': async ({ database }) => {
    await database.kill9();
    await database.start();
  },
  'database restarted': async ({ database }) => {
    await database.stop();
    await database.start();
  },
  'database paused': async (scene) => {
    await scene.database.signal('SIGSTOP');
    await sleep(pauseMs(scene));
    await scene.database.signal('SIGCONT');
  },
  'database slow': async (scene) => {
    scene.proxy.beforeStatement = () => sleep(50);
    await sleep(pauseMs(scene));
    scene.proxy.beforeStatement = undefined;
  },
};
