// From the JSON schema of a tool's input to fields of a form, and from what was typed to arguments. Pure. What a field
// cannot say (arrays, objects, choices between shapes) is typed as JSON; a schema that is no plain object as one JSON.

type Schema = Readonly<Record<string, unknown>>;

export interface SchemaField {
  readonly name: string;
  readonly kind: 'text' | 'number' | 'boolean' | 'choice' | 'json';
  readonly hint: string;
  readonly isRequired: boolean;
  /** What stands in it at first. */
  readonly start: string;
  /** As JSON, for "choice". */
  readonly choices: readonly string[];
  readonly isInteger: boolean;
}

/** undefined: the arguments are typed as one JSON object. */
export function fieldsOf(schema: unknown): readonly SchemaField[] | undefined {
  if (!isObject(schema)) return [];
  const { properties, required } = schema;
  if (['oneOf', 'anyOf', 'allOf', '$ref'].some((word) => word in schema)) return undefined;
  if (!isObject(properties)) return schema.additionalProperties === true ? undefined : [];
  const needed = Array.isArray(required) ? required : [];
  return Object.entries(properties).map(([name, property]) =>
    fieldOf(name, isObject(property) ? property : {}, needed.includes(name)),
  );
}

function fieldOf(name: string, schema: Schema, isRequired: boolean): SchemaField {
  const types = [schema.type].flat().filter((type) => type !== 'null');
  const type = types.length === 1 ? types[0] : undefined;
  const choices = Array.isArray(schema.enum) ? schema.enum.map((choice) => JSON.stringify(choice)) : [];
  const kind =
    choices.length > 0
      ? 'choice'
      : type === 'string'
        ? 'text'
        : type === 'number' || type === 'integer'
          ? 'number'
          : type === 'boolean'
            ? 'boolean'
            : 'json';
  const { default: fallback, description } = schema;
  const start =
    fallback === undefined
      ? ''
      : kind === 'text' && typeof fallback === 'string'
        ? fallback
        : JSON.stringify(fallback);
  return {
    ...{ name, kind, isRequired, choices, start },
    hint: [typeof description === 'string' ? description : '', kind === 'json' ? 'Written as JSON.' : '']
      .filter(Boolean)
      .join(' '),
    isInteger: type === 'integer',
  };
}

export interface Filled {
  readonly arguments: Readonly<Record<string, unknown>>;
  /** By field, what is wrong with it. */
  readonly faults: Readonly<Record<string, string>>;
}

/** What was typed, as arguments. An optional field that is empty is left out. */
export function argumentsOf(fields: readonly SchemaField[], typed: Readonly<Record<string, string>>): Filled {
  const given: Record<string, unknown> = {};
  const faults: Record<string, string> = {};
  for (const field of fields) {
    const { name, kind, isRequired } = field;
    const text = typed[name] ?? field.start;
    if (text === '' && !(isRequired && kind === 'text')) {
      if (isRequired) faults[name] = 'This is needed.';
      continue;
    }
    const { value, fault } = readValue(field, text);
    if (fault === undefined) given[name] = value;
    else faults[name] = fault;
  }
  return { arguments: given, faults };
}

function readValue({ kind, isInteger }: SchemaField, text: string): { value?: unknown; fault?: string } {
  if (kind === 'text') return { value: text };
  if (kind === 'number') {
    const value = Number(text);
    if (!Number.isFinite(value)) return { fault: 'Write a number, like 2 or 0.5.' };
    if (isInteger && !Number.isInteger(value)) return { fault: 'Write a whole number.' };
    return { value };
  }
  return parseJson(text);
}

/** Reads JSON; the fault says where it stops being some. */
export function parseJson(text: string): { value?: unknown; fault?: string } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { fault: `This is no JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

export function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
