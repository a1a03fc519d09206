// Which lists of the API an event of the audit trail makes stale, and for whom. Pure.

export type Resource = 'types' | 'keys' | 'users' | 'tokens' | 'ports' | 'settings' | 'events';

/** An event was written: its type, and whose thing it is about. */
export interface EventWritten {
  readonly event_type: string;
  readonly user_id: string | null;
}

const byPrefix: readonly (readonly [prefix: RegExp, resource: Resource])[] = [
  [/^type_/, 'types'],
  [/^(api|master)_key_/, 'keys'],
  [/^user_/, 'users'],
  [/^token_(created|revoked)$/, 'tokens'],
  [/^setting_/, 'settings'],
];

/** Everyone asks for types; the rest is its owner's, and the admins'. */
const everyones: readonly Resource[] = ['types'];
const admins: readonly Resource[] = ['ports', 'settings'];

/** @param viewerId who looks; null: an admin */
export function staleFor(
  viewerId: string | null,
  { event_type: type, user_id: userId }: EventWritten,
): Resource[] {
  const own = byPrefix.filter(([prefix]) => prefix.test(type)).map(([, resource]) => resource);
  const stale: Resource[] = [...own, 'events'];
  if (viewerId === null) return stale;
  return stale.filter(
    (resource) => everyones.includes(resource) || (userId === viewerId && !admins.includes(resource)),
  );
}
