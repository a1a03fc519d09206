// The queue of starts: how many at once, whose turn it is, what is shown of it, where it ends.
import { expect, it } from 'vitest';
import { createAdmission } from '../../src/instances/admission.ts';

const never = new AbortController().signal;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Enters starts named like `a1` (the first of user a) and notes in which order they are let in. */
function queueOf(atOnceMax: number, waitingMax = 200) {
  const admission = createAdmission(atOnceMax, waitingMax);
  const admitted: string[] = [];
  const places = new Map<string, () => void>();
  const enter = (name: string, signal = never): void => {
    void admission.enter({ instanceId: name, userId: name[0] ?? null }, signal).then((leave) => {
      if (leave === undefined) return;
      admitted.push(name);
      places.set(name, leave);
    });
  };
  const leaveOne = async (): Promise<void> => {
    const [name, leave] = [...places][0] ?? [];
    if (name === undefined || leave === undefined) throw new Error('nobody is in');
    places.delete(name);
    leave();
    leave();
    await settled();
  };
  return { admission, admitted, enter, leaveOne };
}

it('lets as many in as there are places, and each that leaves lets one in', async () => {
  const { admission, admitted, enter, leaveOne } = queueOf(2);
  for (const name of ['a1', 'a2', 'a3', 'a4']) enter(name);
  await settled();
  expect(admitted).toEqual(['a1', 'a2']);
  expect(admission).toMatchObject({ running: 2, waiting: 2 });
  await leaveOne();
  expect(admitted).toEqual(['a1', 'a2', 'a3']);
  expect(admission).toMatchObject({ running: 2, waiting: 1 });
});

it('lets people take turns, each with their own in order', async () => {
  const { admitted, enter, leaveOne } = queueOf(1);
  for (let at = 1; at <= 50; at += 1) enter(`a${at}`);
  enter('b1');
  enter('b2');
  enter('c1');
  await settled();
  while (admitted.length < 8) await leaveOne();
  expect(admitted).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4', 'a5']);
});

it('shows the place of each that waits, which is when it is let in', async () => {
  const { admission, admitted, enter, leaveOne } = queueOf(1);
  const names = ['x1', 'a1', 'a2', 'a3', 'b1', 'c1', 'c2'];
  for (const name of names) enter(name);
  await settled();
  const waiting = names.filter((name) => admission.position(name) !== null);
  const foretold = waiting.toSorted(
    (one, other) => (admission.position(one) ?? 0) - (admission.position(other) ?? 0),
  );
  expect(waiting.map((name) => admission.position(name)).toSorted()).toEqual([1, 2, 3, 4, 5, 6]);
  while (admission.waiting > 0) await leaveOne();
  expect(admitted).toEqual(['x1', ...foretold]);
  expect(admission.position('a1')).toBeNull();
});

it('refuses when too many wait, and forgets who gives up', async () => {
  const { admission, admitted, enter, leaveOne } = queueOf(1, 2);
  const giveUp = new AbortController();
  enter('a1');
  enter('a2', giveUp.signal);
  expect(() => admission.check()).not.toThrow();
  enter('b1');
  expect(() => admission.check()).toThrow(/2 starts are waiting/);
  giveUp.abort();
  await settled();
  expect(() => admission.check()).not.toThrow();
  await leaveOne();
  expect(admitted).toEqual(['a1', 'b1']);
  expect(admission.waiting).toBe(0);
});
