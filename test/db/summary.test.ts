// GET /summary: the counts at the head of the dashboard, everyone's for admins and one's own for all others.
import { expect, it } from 'vitest';
import { openApi } from '../support/api.ts';
import { addType } from '../support/rows.ts';

it('counts what the caller may see', async () => {
  await using house = await openApi({ ports: 10 });
  const mcpType = `type-${await addType(house.database.db)}`;
  const [me, other] = [await house.user(), await house.user()];
  const make = async (token: string, minutes: number) =>
    (
      await house.send('POST', '/api/v1/instances', {
        token,
        body: { mcp_type: mcpType, duration_minutes: minutes },
      })
    ).json.data.id;
  await house.database.db.query('UPDATE mcp_types SET max_duration_minutes = 600');
  const short = await make(me.token, 30);
  await make(me.token, 300);
  await house.ready(short);
  const gone = await make(other.token, 30);
  await house.send('POST', `/api/v1/instances/${gone}/stop`, { token: other.token });
  await house.apply(gone, { event: 'exited' });
  const summary = async (token: string) => (await house.send('GET', '/api/v1/summary', { token })).json.data;
  expect(await summary(me.token)).toMatchObject({
    instances: { pending: 1, running: 1, stopping: 0, expired: 0, disconnected: 0, error: 0 },
    leases_ending_within_hour: 1,
    ports: null,
  });
  expect(await summary(other.token)).toMatchObject({
    instances: { pending: 0, running: 0, disconnected: 1 },
    leases_ending_within_hour: 0,
  });
  const all = await summary(house.adminToken);
  expect(all).toMatchObject({
    instances: { pending: 1, running: 1, disconnected: 1 },
    leases_ending_within_hour: 1,
  });
  expect(all.ports.held).toBe(2);
  expect(all.ports.free + all.ports.held + all.ports.quarantined).toBe(10);
  expect(Date.parse(all.server_time)).toBeGreaterThan(0);
});
