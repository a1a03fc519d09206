// Starts a load generator and tells it what to do. A generator that dies fails whatever was asked of it.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LoadCommand, LoadReport } from './load.ts';

export interface Load extends Disposable {
  /** One command at a time. */
  run(command: LoadCommand): Promise<LoadReport>;
}

type Said = { readonly report: LoadReport } | { readonly error: string };

/** Starts a generator in a process of its own. */
export function startLoad(): Load {
  const process_ = fork(fileURLToPath(new URL('./load.ts', import.meta.url)), {
    execArgv: ['--max-semi-space-size=32'],
    serialization: 'json',
  });
  return {
    run: (command) =>
      new Promise((resolve, reject) => {
        const settle = (finish: () => void): void => {
          process_.off('message', onMessage);
          process_.off('exit', onExit);
          finish();
        };
        const onMessage = (said: Said): void =>
          settle(() => ('report' in said ? resolve(said.report) : reject(new Error(said.error))));
        const onExit = (): void => settle(() => reject(new Error('the load generator ended')));
        process_.on('message', onMessage);
        process_.once('exit', onExit);
        process_.send(command);
      }),
    [Symbol.dispose]: () => void process_.kill('SIGKILL'),
  };
}
