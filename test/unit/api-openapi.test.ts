// The OpenAPI document: complete against the table of routes, and valid: a linter finds nothing, every reference resolves,
// every schema is JSON Schema 2020-12, every operation has an id, a summary, its parameters, its answers, its problems, and
// an example of the body it needs.
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { describe, expect, it } from 'vitest';
import { routes } from '../../src/api/routes.ts';
import { offlineApi } from '../support/offline-api.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document is walked here, whatever it holds
type Json = any;

const document: Json = JSON.parse(
  await offlineApi().then(async (api) => {
    const answer = await api.app.inject({ method: 'GET', url: '/api/v1/openapi.json' });
    await api.close();
    return answer.body;
  }),
);

const operations: readonly (readonly [name: string, path: string, operation: Json])[] = Object.entries<Json>(
  document.paths,
).flatMap(([path, item]) =>
  Object.entries<Json>(item).map(([method, operation]) => [`${method} ${path}`, path, operation] as const),
);

/** What the linter has to say, with every recommended rule an error. */
async function lint(text: Json): Promise<string[]> {
  const config = await createConfig({ extends: ['recommended-strict'] });
  const source = JSON.stringify(text);
  const problems = await lintFromString({ source, absoluteRef: 'openapi.json', config });
  return problems.map(
    ({ ruleId, message, location }) => `${ruleId} at ${location[0]?.pointer ?? '#'}: ${message}`,
  );
}

describe('the document', () => {
  it('satisfies a linter', async () => {
    expect(await lint(document)).toEqual([]);
  });

  it.each([
    ['struct', (broken: Json) => delete broken.paths['/healthz'].get.responses['200'].description],
    ['operation-operationId-unique', (broken: Json) => (broken.paths['/healthz'].get.operationId = 'getMe')],
    ['no-unresolved-refs', (broken: Json) => delete broken.components.schemas.Instance],
    [
      'no-invalid-media-type-examples',
      (broken: Json) =>
        (broken.paths['/api/v1/instances'].post.requestBody.content['application/json'].example = {}),
    ],
  ])('would be told of %s', async (rule, spoil) => {
    const broken = structuredClone(document);
    spoil(broken);
    expect(await lint(broken)).toContainEqual(expect.stringContaining(rule));
  });

  it('is OpenAPI 3.1 and names the product, its version, its licence', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info).toMatchObject({
      title: 'MiniMCP',
      version: '0.0.0',
      license: { name: 'Apache-2.0' },
    });
  });

  it('has every route and nothing else', () => {
    const wanted = routes.map(
      ([method, path]) => `${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, '{$1}')}`,
    );
    expect(operations.map(([name]) => name).sort()).toEqual(wanted.sort());
  });

  it('has no reference that leads nowhere', () => {
    const targets = JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g);
    const lost = [...targets]
      .map(([, path = '']) => path)
      .filter((path) => path.split('/').reduce((at: Json, step) => at?.[step], document) === undefined);
    expect(lost).toEqual([]);
  });

  it('gives operations ids of their own', () => {
    const ids = operations.map(([, , operation]) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe.each(Object.entries<Json>(document.components.schemas))('schema %s', (_, schema) => {
  it('is JSON Schema 2020-12', () => {
    expect(faultsOf(schema, '')).toEqual([]);
  });
});

describe.each(operations)('%s', (_, path, operation) => {
  it('says what it does, needs and answers', () => {
    expect(operation.operationId).toMatch(/^[a-z][A-Za-z]+$/);
    expect(operation.summary.length).toBeGreaterThan(5);
    expect(operation.tags).toHaveLength(1);
    const success = Object.keys(operation.responses).filter((status) => /^2/.test(status));
    expect(success.length).toBeGreaterThan(0);
    for (const problems of ['4XX', '5XX']) {
      const content = operation.responses[problems]?.content ?? {};
      expect(Object.keys(content)).toEqual(['application/problem+json']);
    }
    for (const answer of Object.values<Json>(operation.responses))
      expect(answer.description).toBeTypeOf('string');
  });

  it('shows a body where it needs one, and a problem', () => {
    const media = operation.requestBody?.content['application/json'];
    if (operation.requestBody?.required === true) expect(media.example).toBeTypeOf('object');
    expect(operation.responses['4XX'].content['application/problem+json'].example.code).toBe('invalid_field');
  });

  it('declares exactly the parameters its path has', () => {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = parametersOf(operation).filter((parameter: Json) => parameter.in === 'path');
    expect(declared.map((parameter: Json) => parameter.name)).toEqual(inPath);
    for (const parameter of declared) expect(parameter.required).toBe(true);
  });

  it('has schemas that are JSON Schema 2020-12', () => {
    const schemas = [
      ...parametersOf(operation).map((parameter: Json) => parameter.schema),
      ...contentSchemas(operation.requestBody),
      ...Object.values<Json>(operation.responses).flatMap(contentSchemas),
    ];
    for (const schema of schemas) expect(faultsOf(schema, '')).toEqual([]);
  });

  it('takes a token or a cookie exactly where the table says', () => {
    const route = routes.find(
      ([method, url]) => `${method.toLowerCase()} ${url.replaceAll(/:(\w+)/g, '{$1}')}` === _,
    );
    const access = route?.[2] ?? 'public';
    const scopes = access === 'anyone' ? [] : [access];
    const either = [{ apiToken: scopes }, { session: scopes }];
    const schemes = access === 'public' ? [] : access === 'session' ? [{ session: [] }] : either;
    expect(operation.security).toEqual(schemes);
    const wantsCsrf = schemes.length > 0 && !_.startsWith('get ');
    const headers = parametersOf(operation).map((parameter: Json) => parameter.name);
    expect(headers.includes('X-CSRF-Token')).toBe(wantsCsrf);
  });
});

function parametersOf(operation: Json): Json[] {
  return (operation.parameters ?? []).map((parameter: Json) =>
    parameter.$ref === undefined
      ? parameter
      : document.components.parameters[parameter.$ref.split('/').at(-1)],
  );
}

function contentSchemas(part: Json): Json[] {
  return Object.values<Json>(part?.content ?? {}).map((media) => media.schema);
}

const types = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'];
const listed = ['anyOf', 'allOf', 'oneOf'];
const single = ['items', 'additionalProperties', 'propertyNames', 'not'];
const counts = ['minLength', 'maxLength', 'minItems', 'maxItems'];
const figures = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'];
const texts = ['description', 'format', 'pattern', 'title', '$ref'];
const free = ['type', 'properties', 'required', 'enum', 'const', 'default'];

/** What is wrong with a schema, each with where; [] when it is one. Knows the keywords this document may use. */
function faultsOf(schema: Json, at: string): string[] {
  if (typeof schema === 'boolean') return [];
  if (typeof schema !== 'object' || schema === null) return [`${at}: not a schema`];
  const known = [...listed, ...single, ...counts, ...figures, ...texts, ...free];
  const faults = Object.keys(schema)
    .filter((key) => !known.includes(key))
    .map((key) => `${at}: ${key} is no keyword`);
  const check = (key: string, isRight: (value: Json) => boolean): void => {
    if (schema[key] !== undefined && !isRight(schema[key]))
      faults.push(`${at}/${key}: ${JSON.stringify(schema[key])}`);
  };
  const properties = Object.keys(schema.properties ?? {});
  check('type', (value) => [value].flat().every((type) => types.includes(type)));
  check('enum', (value) => Array.isArray(value) && value.length > 0);
  check('required', (value) => Array.isArray(value) && value.every((name) => properties.includes(name)));
  for (const key of counts) check(key, (value) => Number.isInteger(value) && value >= 0);
  for (const key of figures) check(key, (value) => typeof value === 'number');
  for (const key of texts) check(key, (value) => typeof value === 'string');
  if (schema.pattern !== undefined) expect(() => new RegExp(schema.pattern, 'u')).not.toThrow();
  const inner: (readonly [string, Json])[] = [
    ...properties.map((name) => [`properties/${name}`, schema.properties[name]] as const),
    ...single.filter((key) => schema[key] !== undefined).map((key) => [key, schema[key]] as const),
    ...listed.flatMap((key) =>
      (schema[key] ?? []).map((item: Json, n: number) => [`${key}/${n}`, item] as const),
    ),
  ];
  return [...faults, ...inner.flatMap(([key, item]) => faultsOf(item, `${at}/${key}`))];
}
