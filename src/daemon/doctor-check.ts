// What doctor says about one thing it has looked at. Types only.

export interface Check {
  readonly name: string;
  /** warn: it works, but less well than it could. */
  readonly state: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do, for everything that is not ok. */
  readonly remedy: string | null;
}
