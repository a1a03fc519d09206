// The order of the test files: those that wait for real processes first, the largest of them in front; the short unit
// tests fill what is left at the end, so that no worker is idle while a long one has only begun.
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const isUnit = ({ moduleId }: TestSpecification): number => Number(moduleId.includes('/test/unit/'));

export class UnitLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((one, other) => isUnit(one) - isUnit(other));
  }
}
