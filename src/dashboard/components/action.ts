// Something the reader sets off and waits for: it shows at once that it is working, cannot be set off twice, and ends in
// done or in a problem. Buttons and forms share this.
import { useSignal } from '@preact/signals';
import { type ApiProblem, problemOf } from '../api/problem.ts';

export interface Action {
  readonly isBusy: boolean;
  readonly problem: ApiProblem | undefined;
  /** Runs `work` unless it runs already. @returns whether it was done */
  run(work: () => Promise<unknown>): Promise<boolean>;
}

export function useAction(): Action {
  const isBusy = useSignal(false);
  const problem = useSignal<ApiProblem | undefined>(undefined);
  return {
    isBusy: isBusy.value,
    problem: problem.value,
    async run(work) {
      if (isBusy.peek()) return false;
      isBusy.value = true;
      problem.value = undefined;
      try {
        await work();
        return true;
      } catch (error) {
        problem.value = problemOf(error);
        return false;
      } finally {
        isBusy.value = false;
      }
    },
  };
}
