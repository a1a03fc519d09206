import { defineConfig } from 'vitest/config';
import { UnitLast } from './test/support/sequencer.ts';
import { chooseTemporary } from './test/support/temporary.ts';

chooseTemporary();

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // No file leaves anything in its process that another would trip over, and a process for each costs half a second of
    // processor.
    isolate: false,
    // Twice the two cores they are meant for: files wait for processes of theirs more than they work.
    maxWorkers: 4,
    // What tests make is soon garbage: a young generation that is large enough for it saves a tenth of their processor time.
    execArgv: ['--max-semi-space-size=32', '--min-semi-space-size=16'],
    sequence: { sequencer: UnitLast },
    // Bounds, not expectations: on a busy machine a fact may take its time to become true.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default'],
  },
});
