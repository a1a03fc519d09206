// A program of one line: prints docs/state-machine.md.
import { stateMachineDocument } from './state-machine.ts';

process.stdout.write(stateMachineDocument());
