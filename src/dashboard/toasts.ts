// Short messages about what was just done, for the eye and for a screen reader. A success goes by itself, a failure
// stays until it is dismissed: it says what to do.
import { signal } from '@preact/signals';
import { type ApiProblem, problemOf } from './api/problem.ts';

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly problem: ApiProblem | undefined;
}

export const toasts = signal<readonly Toast[]>([]);

const successMs = 5_000;
const toastsMax = 4;
let lastId = 0;

function add(toast: Omit<Toast, 'id'>): number {
  lastId += 1;
  toasts.value = [...toasts.peek(), { id: lastId, ...toast }].slice(-toastsMax);
  return lastId;
}

export function dismiss(id: number): void {
  toasts.value = toasts.peek().filter((toast) => toast.id !== id);
}

/** Says that something was done. */
export function say(text: string): void {
  const id = add({ text, problem: undefined });
  setTimeout(() => dismiss(id), successMs);
}

/** Says that something failed, and what to do. What ended the session is said by the login screen. */
export function sayProblem(error: unknown, what: string): void {
  const problem = problemOf(error);
  if (problem.code === 'unauthorized') return;
  add({ text: what, problem });
}
