// What an admin can do to the types.
import type { McpTypeView, patchTypeSchema } from '../../api/contract.ts';
import { send } from './client.ts';

export type TypeView = McpTypeView;
export type Trial = NonNullable<McpTypeView['trial']>;

const pathOf = (name: string): string => `/mcp-types/${encodeURIComponent(name)}`;

export function changeType(name: string, change: (typeof patchTypeSchema)['_input']): Promise<TypeView> {
  return send('PATCH', pathOf(name), change);
}

export function tryType(name: string): Promise<TypeView> {
  return send('POST', `${pathOf(name)}/trial`);
}

export function removeType(name: string): Promise<void> {
  return send('DELETE', pathOf(name));
}

/**
 * Adds a type. Throws a SyntaxError for a document that is no JSON.
 * @param text `npm:PACKAGE[@VERSION]`, a package's bare name, or the text of a server.json
 */
export function addType(text: string): Promise<TypeView> {
  const wish = text.trim();
  if (wish.startsWith('{')) return send('POST', '/mcp-types', JSON.parse(wish));
  return send('POST', '/mcp-types', { source: wish.startsWith('npm:') ? wish : `npm:${wish}` });
}
