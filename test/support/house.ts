// The rooms below the runtime, on a real database: enough to ask for instances and to raise events without starting a
// process. Each call is one "supervisor"; several may share a database.
import { randomUUID } from 'node:crypto';
import type { Db } from '../../src/db/pool.ts';
import { seedPorts } from '../../src/db/queries/ports.ts';
import type { ServerType } from '../../src/domain/server-type.ts';
import { type Apply, createApply } from '../../src/instances/apply.ts';
import { type RequestOptions, request } from '../../src/instances/request.ts';
import type { Actor, CreateInput, WithToken } from '../../src/instances/types.ts';
import { createAllocator } from '../../src/ports/allocator.ts';
import { addNode, addType, addUser } from './rows.ts';

export interface House {
  readonly apply: Apply;
  readonly nodeId: string;
  readonly typeName: string;
  readonly range: { readonly from: number; readonly to: number };
  actor(role?: 'user' | 'admin'): Promise<Actor>;
  request(actor: Actor, input?: Partial<CreateInput>): Promise<WithToken>;
}

export interface HouseOptions {
  /** Ports in the pool. */
  readonly ports?: number;
  readonly quota?: number;
  /** Another house on the same node, type and pool, as a second API process has it. */
  readonly beside?: House;
}

let next = 0;

export async function openHouse(db: Db, options: HouseOptions = {}): Promise<House> {
  const from = options.beside?.range.from ?? 20_000 + ((process.pid + next++) % 80) * 130;
  const range = { from, to: from + (options.ports ?? 10) - 1 };
  const nodeId = options.beside?.nodeId ?? (await addNode(db));
  const typeName = options.beside?.typeName ?? `type-${await addType(db)}`;
  if (options.beside === undefined) await seedPorts(db, nodeId, range.from, range.to);
  const allocator = createAllocator({ db, nodeId, host: '127.0.0.1', range: async () => range });
  const fence = () => ({ nodeId, epoch: 1 });
  const urlOf = (port: number) => `http://127.0.0.1:${port}/mcp`;
  const read = async (column: string, value: string): Promise<ServerType | undefined> =>
    (await db.query<ServerType>(`SELECT * FROM mcp_types WHERE ${column} = $1`, [value]))[0];
  const requestOptions: RequestOptions = {
    db,
    fence,
    nodeId,
    allocator,
    urlOf,
    settings: {
      defaultMinutes: async () => 60,
      maxInstancesPerUser: async () => options.quota ?? 1_000,
      maxLeaseMinutes: async () => 1_440,
      maxCreationsPerHour: async () => 600,
    },
    catalog: {
      get: (name) => read('name', name),
      getById: (id) => read('id', id),
      available: async () => true,
      checkConfig: (_type, config) => config,
    },
    findKey: async () => null,
    admit: () => {},
  };
  return {
    apply: createApply({
      db,
      fence,
      allocator,
      urlOf,
      maxInstancesPerUser: async () => options.quota ?? 1_000,
    }),
    nodeId,
    typeName,
    range,
    actor: async (role = 'user') => ({
      userId: await addUser(db, role),
      role,
      ip: '127.0.0.1',
      userAgent: 'test',
    }),
    request: (actor, input = {}) =>
      request(requestOptions, actor, {
        typeName,
        minutes: 1,
        name: `n-${randomUUID()}`.slice(0, 30),
        ...input,
      }),
  };
}
