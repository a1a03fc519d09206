// What one tool of the control endpoint is: an operation of the API under a name an agent understands, what it takes, and
// what it gives back. It has no work of its own: it only says how its input becomes a request to the operation.
import type { Tool as ListedTool } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Operation } from '../operation.ts';

/** A request to an operation as REST would bring it, still to be checked by the operation's own schemas. */
export interface ToolRequest {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
  /** How long the answer may be held until the instance is running or at rest. */
  readonly waitSeconds?: number | undefined;
}

type Structured = Record<string, unknown>;

export interface Tool {
  readonly name: string;
  readonly operation: Operation;
  readonly input: z.ZodObject;
  readonly output: z.ZodObject;
  /** As tools/list shows it. */
  readonly listed: ListedTool;
  request(input: Structured): ToolRequest;
  /** From what the operation answered to what the output schema describes. */
  result(answer: unknown, input: Structured): Structured;
  /** The result in a few words, for clients that show no structured content. */
  text(result: Structured): string;
}

interface ToolSpec<Input extends z.ZodObject, Output extends z.ZodObject> {
  readonly title: string;
  readonly description: string;
  readonly operation: Operation;
  readonly input: Input;
  readonly output: Output;
  /** Of its annotations, those that are not false. */
  readonly hints?: readonly ('readOnly' | 'destructive' | 'idempotent')[];
  request(input: z.output<Input>): ToolRequest;
  /** Default: the data of the answer. */
  result?(answer: unknown, input: z.output<Input>): z.input<Output>;
  text(result: z.output<Output>): string;
}

/** Checks a tool against its own schemas at compile time and forgets their types. */
export function tool<Input extends z.ZodObject, Output extends z.ZodObject>(
  name: string,
  spec: ToolSpec<Input, Output>,
): Tool {
  const has = (hint: 'readOnly' | 'destructive' | 'idempotent'): boolean =>
    spec.hints?.includes(hint) ?? false;
  const listed = {
    name,
    title: spec.title,
    description: spec.description,
    inputSchema: schemaOf(spec.input, 'input'),
    outputSchema: schemaOf(spec.output, 'output'),
    annotations: {
      title: spec.title,
      readOnlyHint: has('readOnly'),
      destructiveHint: has('destructive'),
      idempotentHint: has('idempotent'),
      openWorldHint: false,
    },
  };
  return { result: dataIn, ...spec, name, listed } as unknown as Tool;
}

function dataIn(answer: unknown): unknown {
  return (answer as { readonly data: unknown }).data;
}

/**
 * A zod schema as clients read it: no dialect named (the default is meant), no patterns and bounds that say what the
 * format or the type says already, and results that may grow by a field.
 */
function schemaOf(schema: z.ZodObject, io: 'input' | 'output'): ListedTool['inputSchema'] {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    override: ({ jsonSchema }) => {
      delete jsonSchema.id;
      if (jsonSchema.format === 'uuid' || jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (io === 'output' && jsonSchema.additionalProperties === false)
        delete jsonSchema.additionalProperties;
    },
  });
  return rest as ListedTool['inputSchema'];
}
