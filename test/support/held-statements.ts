// Stands in the stream of statements of one supervisor and holds single ones: each belongs to an operation by what it is
// given (an instance, a user), and, inside a transaction, by what came before it on the same connection. A statement
// that is held never goes on: whoever waits for it is to be killed. Reads under the API's own role are nobody's.
import type { PgProxy, Statement } from './pg-proxy.ts';

export interface Step {
  /** The statement, on one line and cut. */
  readonly sql: string;
  /** Which one of those with the same text, from 1. */
  readonly turn: number;
  /** A plain read, or a part of a transaction that has written nothing when it commits. */
  readonly isIdle: boolean;
}

export interface Point {
  readonly step: Step;
  readonly when: 'before' | 'after';
}

export interface Followed {
  /** What went by so far, in order. */
  readonly steps: readonly Step[];
  /** Whether it is held where it was to be. */
  readonly isHeld: boolean;
  /** Holds the operation there. Resolves when it has come to it. */
  holdAt(point: Point): Promise<void>;
}

export interface HeldStatements {
  /** Follows what concerns this instance or user from now on. An instance a user creates is followed with the user. */
  follow(id: string): Followed;
  /** Forgets everything; what is held stays held. */
  clear(): void;
}

interface Operation extends Followed {
  readonly steps: Step[];
  isHeld: boolean;
  point: Point | undefined;
  arrived: () => void;
}

interface Connection {
  operation: Operation | undefined;
  inTransaction: boolean;
  asApi: boolean;
  /** The last statement of this transaction that wrote. */
  wrote: string | undefined;
  /** Steps of this transaction, idle until it writes. */
  steps: { isIdle: boolean }[];
}

const fresh = (inTransaction: boolean): Connection => ({
  operation: undefined,
  inTransaction,
  asApi: false,
  wrote: undefined,
  steps: [],
});

/** Takes the proxy's hooks. */
export function holdStatements(proxy: PgProxy): HeldStatements {
  const operations = new Map<string, Operation>();
  const connections = new Map<number, Connection>();
  const underWay = new Map<Statement, { operation: Operation; step: Step }>();

  const operationOf = (statement: Statement): Operation | undefined => {
    const known = connections.get(statement.connection) ?? fresh(false);
    connections.set(statement.connection, known);
    if (/^BEGIN/.test(statement.sql)) {
      connections.set(statement.connection, fresh(true));
      return undefined;
    }
    if (/^SET LOCAL ROLE/.test(statement.sql)) known.asApi = true;
    const named = statement.params.flatMap((param) => operations.get(param ?? '') ?? [])[0];
    const operation = named ?? known.operation;
    if (known.inTransaction) known.operation = operation;
    if (/^(COMMIT|ROLLBACK)/.test(statement.sql)) connections.set(statement.connection, fresh(false));
    const created = /^INSERT INTO mcp_instances\b/.test(statement.sql) ? statement.params[0] : undefined;
    if (operation !== undefined && created) operations.set(created, operation);
    return known.asApi ? undefined : operation;
  };

  const held = (operation: Operation, step: Step, when: Point['when']): Promise<never> | undefined => {
    const { point } = operation;
    if (point?.when !== when || point.step.sql !== step.sql || point.step.turn !== step.turn)
      return undefined;
    operation.isHeld = true;
    operation.arrived();
    return new Promise(() => {});
  };

  proxy.beforeStatement = (statement) => {
    // The end of a transaction resets what is known of its connection.
    const transaction = connections.get(statement.connection);
    const operation = operationOf(statement);
    if (operation === undefined) return;
    const text = statement.sql.replace(/\s+/g, ' ').trim();
    const isEnd = /^(COMMIT|ROLLBACK)/.test(text);
    // Ends are told apart by what they end: a repeat that writes nothing must not shift their numbers.
    const sql = isEnd ? `${text} of ${transaction?.wrote}` : nameOf(text);
    const turn = operation.steps.filter((other) => other.sql === sql).length + 1;
    const writes = /^(INSERT|UPDATE|DELETE|WITH)\b/.test(text);
    const isInside = transaction?.inTransaction === true;
    const step = { sql, turn, isIdle: isEnd ? transaction?.wrote === undefined : !writes };
    operation.steps.push(step);
    if (isInside && writes) {
      transaction.wrote = `${sql} (${turn})`;
      for (const earlier of transaction.steps) earlier.isIdle = false;
    }
    // A lock is idle only if nothing comes of it.
    if (isInside && /\bFOR NO KEY UPDATE$/.test(text)) transaction.steps.push(step);
    underWay.set(statement, { operation, step });
    return held(operation, step, 'before');
  };
  proxy.afterStatement = (statement) => {
    const found = underWay.get(statement);
    underWay.delete(statement);
    return found === undefined ? undefined : held(found.operation, found.step, 'after');
  };

  return {
    follow(id) {
      const operation: Operation = {
        steps: [],
        isHeld: false,
        point: undefined,
        arrived: () => {},
        holdAt(point) {
          operation.point = point;
          return new Promise((resolve) => {
            operation.arrived = resolve;
          });
        },
      };
      operations.set(id, operation);
      return operation;
    },
    clear() {
      operations.clear();
      connections.clear();
      underWay.clear();
    },
  };
}

/** Short, and still telling plain reads from those that lock. */
function nameOf(text: string): string {
  return text.slice(0, 80) + (text.endsWith('UPDATE') ? ' … FOR NO KEY UPDATE' : '');
}
