// Whether what an owner said for an instance is what its type asks for, and where each of it goes. Pure. Nothing a type
// does not declare gets in: no further variables, no further arguments.
import { z } from 'zod';
import { Fault, type FieldError } from '../base/errors.ts';
import type { ServerType, TypeInput } from '../domain/server-type.ts';

const value = z
  .string()
  .max(4_096)
  .refine((text) => !text.includes('\0'), 'text without NUL');

const configSchema = z.strictObject({
  environment: z.record(z.string(), value).optional(),
  arguments: z.record(z.string(), z.union([value, z.array(value).max(100)])).optional(),
});

/**
 * What is kept of it: variables under `environment`, arguments under `arguments`. An input may also be said by its name
 * alone, so that whoever asks need not know which of the two it is.
 * @throws Fault invalid_field with a pointer for each part that is refused
 */
export function checkConfig(type: ServerType, config: Record<string, unknown>): Record<string, unknown> {
  const sorted = sortedOut(type, config);
  const parsed = configSchema.safeParse(sorted);
  if (!parsed.success) {
    throw refuse(
      parsed.error.issues.map(({ path, message }) => ({ pointer: pointerTo(...path.map(String)), message })),
    );
  }
  const given = { environment: parsed.data.environment ?? {}, arguments: parsed.data.arguments ?? {} };
  const slots = new Set(slotNames(type));
  const errors: FieldError[] = [];
  for (const part of ['environment', 'arguments'] as const) {
    const offered = type.inputs.filter((input) => slots.has(input.name) === (part === 'arguments'));
    errors.push(...unknownInputs(offered, part, given[part]), ...missingInputs(offered, part, given[part]));
    for (const input of offered) errors.push(...badValues(input, part, given[part][input.name]));
  }
  if (errors.length > 0) throw refuse(errors);
  return sorted;
}

/** Puts inputs that are said by name alone where they belong. What the type does not declare stays, to be refused. */
function sortedOut(type: ServerType, config: Record<string, unknown>): Record<string, unknown> {
  const slots = new Set(slotNames(type));
  const declared = new Set(type.inputs.map(({ name }) => name));
  const isNamed = ([key, said]: readonly [string, unknown]): boolean =>
    declared.has(key) && (typeof said === 'string' || Array.isArray(said));
  const entries = Object.entries(config);
  const sorted = Object.fromEntries(entries.filter((entry) => !isNamed(entry)));
  for (const part of ['environment', 'arguments'] as const) {
    const said = sorted[part] ?? {};
    const named = entries.filter(isNamed).filter(([key]) => slots.has(key) === (part === 'arguments'));
    if (named.length > 0 && typeof said === 'object')
      sorted[part] = { ...said, ...Object.fromEntries(named) };
  }
  return sorted;
}

type Part = 'environment' | 'arguments';

function unknownInputs(
  offered: readonly TypeInput[],
  part: Part,
  given: Record<string, unknown>,
): FieldError[] {
  const names = offered.filter(({ is_secret: secret }) => !secret).map(({ name }) => name);
  return Object.keys(given)
    .filter((name) => !names.includes(name))
    .map((name) => {
      const secret = offered.some((input) => input.name === name);
      const message = secret
        ? `${name} is a secret: store it with "minimcp keys set"`
        : `this type takes no ${part === 'environment' ? 'variable' : 'argument'} of this name` +
          (names.length > 0 ? `; it takes ${names.join(', ')}` : '');
      return { pointer: pointerTo(part, name), message };
    });
}

function missingInputs(
  offered: readonly TypeInput[],
  part: Part,
  given: Record<string, unknown>,
): FieldError[] {
  return offered
    .filter((input) => input.is_required && !input.is_secret && input.default === undefined)
    .filter(({ name }) => given[name] === undefined)
    .map(({ name, description }) => ({
      pointer: pointerTo(part, name),
      message: `required${description === undefined ? '' : `: ${description}`}`,
    }));
}

function badValues(
  input: TypeInput,
  part: Part,
  given: string | readonly string[] | undefined,
): FieldError[] {
  const { choices } = input;
  if (given === undefined || choices === undefined) return [];
  const values = typeof given === 'string' ? [given] : given;
  if (values.every((one) => choices.includes(one))) return [];
  return [{ pointer: pointerTo(part, input.name), message: `one of ${choices.join(', ')}` }];
}

function slotNames(type: ServerType): string[] {
  const slots = type.config_template.arguments;
  return Array.isArray(slots) ? slots.map((slot: { name: string }) => slot.name) : [];
}

function pointerTo(...parts: readonly string[]): string {
  return `/config${parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')}`;
}

function refuse(errors: readonly FieldError[]): Fault {
  const detail = errors.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ');
  return new Fault('invalid_field', detail, { errors });
}
