// What keeps a shim small without slowing its start: V8's middle compilers are switched off. As options of node they would
// make it compile its own modules anew, 30 ms of processor time at each start, because the compiled code it comes with is
// good for the defaults only. So they are set when everything is loaded.
import { setFlagsFromString } from 'node:v8';

/** Call it once, with all modules loaded. */
export function beFrugal(): void {
  for (const flag of ['--no-sparkplug', '--no-maglev']) setFlagsFromString(flag);
}
