// Numbers as people give them to options. Pure.
import { Fault } from '../base/errors.ts';

/** A positive whole number given to an option. @throws Fault malformed_request */
export function wholeNumber(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new Fault('malformed_request', `${option} takes a whole number above 0; got "${text}"`);
}
