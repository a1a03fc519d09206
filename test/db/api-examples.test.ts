// The examples of the OpenAPI document are true: each body is accepted where it says, and each answer has the fields of the
// one that the API gives.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answerExamples, bodyExamples, problemExample } from '../../src/api/examples.ts';
import { routes } from '../../src/api/routes.ts';
import { type Answer, type ApiHouse, openApi } from '../support/api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
/** By operation, in the order of the table of routes. */
const answers = new Map<string, Answer>();

beforeAll(async () => {
  house = await openApi();
  const { db } = house.database;
  await db.query(`UPDATE mcp_types SET name = 'memory' WHERE id = $1`, [await addType(db)]);
  await db.query(`UPDATE mcp_types SET name = 'github', key_variable = 'A_KEY' WHERE id = $1`, [
    await addType(db),
  ]);
  const user = await house.user();
  let instanceId = '';
  for (const [method, url, , { id }] of routes) {
    if (bodyExamples[id] === undefined && answerExamples[id] === undefined) continue;
    const path = url
      .replace('/users/:id', `/users/${user.id}`)
      .replace('/instances/:id', `/instances/${instanceId}`)
      .replace('/mcp-types/:name', '/mcp-types/weather')
      .replace(':mcp_type', 'github')
      .replace(':key', 'mcp.max_instances_per_user');
    // What logs in is shown once, and stands in no example.
    const body = id === 'openSession' ? { api_token: house.adminToken } : bodyExamples[id];
    const answer = await house.send(method, path, body === undefined ? {} : { body });
    answers.set(id, answer);
    if (id !== 'createInstance') continue;
    instanceId = answer.json.data.id;
    await house.ready(instanceId);
    await db.query(`INSERT INTO mcp_logs (mcp_instance_id, message) VALUES ($1, 'a line')`, [instanceId]);
  }
});
afterAll(() => house[Symbol.asyncDispose]());

it('every body is accepted', () => {
  const refused = [...answers].filter(([, { status }]) => status >= 300);
  expect(refused.map(([id, { status, text }]) => `${id}: ${status} ${text}`)).toEqual([]);
  expect([...answers.keys()]).toEqual(expect.arrayContaining(Object.keys(bodyExamples)));
});

it.each(Object.entries(answerExamples))('%s answers with the fields of its example', (id, [status, body]) => {
  const answer = answers.get(id);
  expect(answer?.status).toBe(status);
  expect(shapeOf(answer?.json)).toEqual(shapeOf(body));
});

it('the refusal is the one that is given', async () => {
  const body = { ...bodyExamples.createInstance, duration_minutes: 0 };
  const answer = await house.send('POST', '/api/v1/instances', { body });
  expect({ ...answer.json, request_id: problemExample.request_id }).toEqual(problemExample);
});

/** The names of fields, down to the free forms that hold what they like. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== 'object' || value === null) return 'value';
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !['config', 'stats', 'metadata'].includes(name))
      .map(([name, inner]) => [name, shapeOf(inner)]),
  );
}
