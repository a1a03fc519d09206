// The admin of the first start: made with a token given or made at start, or given that token as well. It refuses what is
// no token and what was revoked: a start that claims an admin who cannot act helps nobody.
import { randomUUIDv7 } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { hashToken } from '../base/tokens.ts';
import type { Tx } from '../db/pool.ts';
import { insertToken, presentToken } from '../db/queries/api-tokens.ts';
import { insertEvent } from '../db/queries/events.ts';
import { insertUser, readUserByEmail } from '../db/queries/users.ts';
import { scopes } from '../domain/scopes.ts';

const firstAdminEmail = 'admin@localhost';

/** Makes sure that this token is an admin's. @throws Fault config_invalid */
export async function bootstrapAdmin(tx: Tx, token: string): Promise<'created' | 'added' | 'known'> {
  if (!/^[\x21-\x7e]{16,512}$/.test(token) || token.startsWith('mcp_')) {
    throw new Fault(
      'config_invalid',
      'the first admin\'s token must be 16 to 512 visible ASCII characters and not begin with "mcp_"',
    );
  }
  const tokenHash = hashToken(token);
  const known = await presentToken(tx, tokenHash, null);
  if (known !== undefined) {
    // A network limit is for callers; here nobody calls.
    if (known.refused === null || known.refused === 'network') return 'known';
    throw new Fault('config_invalid', `the first admin's token is ${known.refused}; give another one`);
  }
  const found = await readUserByEmail(tx, firstAdminEmail);
  if (found?.disabled_at != null) {
    throw new Fault(
      'config_invalid',
      `${firstAdminEmail} is disabled; start with the token of another admin`,
    );
  }
  const admin =
    found ??
    (await insertUser(tx, {
      id: randomUUIDv7(),
      email: firstAdminEmail,
      name: 'Admin',
      role: 'admin',
      max_instances: null,
    }));
  const row = await insertToken(tx, {
    id: randomUUIDv7(),
    userId: admin.id,
    name: found === undefined ? 'first start' : 'given at start',
    tokenHash,
    prefix: token.slice(0, token.startsWith('mmt_') ? 12 : 4),
    scopes,
    allowedCidrs: null,
    rateLimitPerMinute: null,
    expiresAt: null,
  });
  await insertEvent(tx, {
    instanceId: null,
    userId: admin.id,
    actorId: null,
    type: found === undefined ? 'user_created' : 'token_created',
    data: { token_id: row?.id ?? null, email: admin.email, at: 'start' },
  });
  return found === undefined ? 'created' : 'added';
}
