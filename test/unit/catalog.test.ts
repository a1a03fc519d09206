// server.json into a type and back out of an owner's mouth: every shipped document, every refusal with its pointer.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.ts';
import { checkConfig } from '../../src/catalog/config-check.ts';
import { typeFromServerJson } from '../../src/catalog/server-json.ts';
import type { ServerType } from '../../src/domain/server-type.ts';
import { fixtureType } from '../support/driver.ts';
import { root } from '../support/source.ts';

const shipped = readdirSync(join(root, 'mcp-servers'));
const documentOf = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(root, 'mcp-servers', name, 'server.json'), 'utf8'));
const dependencies = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies as Record<
  string,
  string
>;

function pointersOf(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(Fault);
    expect((error as Fault).code).toBe('invalid_field');
    return (error as Fault).errors.map(({ pointer }) => pointer);
  }
  return [];
}

describe('a shipped type', () => {
  it.each(shipped)('%s is at the version this program depends on', (name) => {
    const type = typeFromServerJson(documentOf(name), 'shipped');
    expect(type.name).toBe(name);
    expect(dependencies[type.package_name]).toBe(type.package_version);
    expect(type.server_script).not.toBe('');
  });

  it('says what the seed of each is', () => {
    const of = (name: string) => typeFromServerJson(documentOf(name), 'shipped');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
    expect(of('filesystem').arguments).toEqual(['${HOME}']);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
    expect(of('memory').environment).toEqual({ MEMORY_FILE_PATH: '${HOME}/memory.json' });
    expect(of('github')).toMatchObject({
      key_variable: 'GITHUB_PERSONAL_ACCESS_TOKEN',
      egress: 'open',
      inputs: [{ name: 'GITHUB_PERSONAL_ACCESS_TOKEN', is_required: true, is_secret: true }],
    });
    for (const name of ['everything', 'filesystem', 'memory']) expect(of(name).egress).toBe('none');
  });
});

const minimal = (pkg: Record<string, unknown> = {}, meta?: Record<string, unknown>) => ({
  name: 'com.example/Some.Server',
  packages: [
    { registryType: 'npm', identifier: '@scope/pkg', version: '1.2.3', transport: { type: 'stdio' }, ...pkg },
  ],
  ...(meta === undefined ? {} : { _meta: { 'dev.minimcp/type': meta } }),
});

describe('a document', () => {
  it('of the least becomes a type with careful defaults', () => {
    expect(typeFromServerJson(minimal(), 'admin')).toMatchObject({
      name: 'some-server',
      display_name: 'some-server',
      egress: 'none',
      era: 'unknown',
      key_variable: null,
      legacy_sse: false,
      arguments: [],
      read_only_paths: [],
    });
  });

  it('turns arguments and variables into fixed values and inputs', () => {
    const type = typeFromServerJson(
      minimal({
        runtimeArguments: [{ type: 'positional', value: '-y' }],
        packageArguments: [
          { type: 'named', name: '--fixed', value: 'a; b' },
          { type: 'positional', valueHint: 'dir', isRequired: true },
          { type: 'named', name: '--mode', default: 'x', choices: ['x', 'y'] },
        ],
        environmentVariables: [
          { name: 'FIXED', value: '1' },
          { name: 'OPEN', description: 'd' },
          { name: 'KEY', isSecret: true, isRequired: true },
          { name: 'OTHER_KEY', isSecret: true },
        ],
      }),
      'admin',
    );
    expect(type.arguments).toEqual(['--fixed', 'a; b']);
    expect(type.config_template).toEqual({ arguments: [{ name: 'dir' }, { name: 'mode', flag: '--mode' }] });
    expect(type.environment).toEqual({ FIXED: '1' });
    expect(type.key_variable).toBe('KEY');
    expect(type.inputs.map(({ name }) => name)).toEqual(['OPEN', 'KEY', 'dir', 'mode']);
  });

  it.each<[string, unknown, string]>([
    ['no object', 'text', '/'],
    ['no packages', { name: 'a/b', packages: [] }, '/packages'],
    ['two packages', { ...minimal(), packages: [...minimal().packages, ...minimal().packages] }, '/packages'],
    ['a container', minimal({ registryType: 'oci' }), '/packages/0/registryType'],
    ['a range', minimal({ version: '^1.0.0' }), '/packages/0/version'],
    ['a tag', minimal({ version: 'latest' }), '/packages/0/version'],
    ['a URL for a package', minimal({ identifier: 'https://example.com/x.tgz' }), '/packages/0/identifier'],
    ['a path for a package', minimal({ identifier: '../x' }), '/packages/0/identifier'],
    ['an alias for a package', minimal({ identifier: 'x@npm:y' }), '/packages/0/identifier'],
    ['a flag of npm for a package', minimal({ identifier: '--global' }), '/packages/0/identifier'],
    ['SSE', minimal({ transport: { type: 'sse' } }), '/packages/0/transport/type'],
    [
      'arguments for node',
      minimal({ runtimeArguments: [{ type: 'named', name: '--inspect' }] }),
      '/packages/0/runtimeArguments/0',
    ],
    [
      'a variable that is ours',
      minimal({ environmentVariables: [{ name: 'NODE_OPTIONS', value: '--require /x' }] }),
      '/packages/0/environmentVariables/0/name',
    ],
    [
      'a variable of the loader',
      minimal({ environmentVariables: [{ name: 'LD_PRELOAD' }] }),
      '/packages/0/environmentVariables/0/name',
    ],
    [
      'a secret that is written down',
      minimal({ environmentVariables: [{ name: 'A', isSecret: true, value: 'x' }] }),
      '/packages/0/environmentVariables/0/value',
    ],
    [
      'a secret among the arguments',
      minimal({ packageArguments: [{ type: 'named', name: '--token', isSecret: true }] }),
      '/packages/0/packageArguments/0',
    ],
    [
      'two keys',
      minimal({
        environmentVariables: ['A', 'B'].map((name) => ({ name, isSecret: true, isRequired: true })),
      }),
      '/packages/0/environmentVariables',
    ],
    ['a field of ours that is none', minimal({}, { egres: 'none' }), '/_meta/dev.minimcp~1type'],
    ['a script outside', minimal({}, { script: '../../x.js' }), '/_meta/dev.minimcp~1type/script'],
    [
      'a place nobody may see',
      minimal({}, { read_only_paths: ['/proc/1'] }),
      '/_meta/dev.minimcp~1type/read_only_paths/0',
    ],
    [
      'the whole machine',
      minimal({}, { read_only_paths: ['/'] }),
      '/_meta/dev.minimcp~1type/read_only_paths/0',
    ],
    [
      'an HTTP server without a network',
      minimal({ transport: { type: 'streamable-http' } }, { egress: 'none' }),
      '/_meta/dev.minimcp~1type/egress',
    ],
  ])('with %s is refused at the field', (_what, document, pointer) => {
    expect(pointersOf(() => typeFromServerJson(document, 'admin'))).toContain(pointer);
  });
});

describe('what an owner says', () => {
  const type: ServerType = {
    ...fixtureType,
    key_variable: 'KEY',
    config_template: { arguments: [{ name: 'dir' }] },
    inputs: [
      { name: 'COLOUR', is_required: false, is_secret: false, choices: ['red', 'blue'] },
      { name: 'NEEDED', is_required: true, is_secret: false },
      { name: 'KEY', is_required: true, is_secret: true },
      { name: 'dir', is_required: false, is_secret: false },
    ],
  };
  const needed = { NEEDED: 'x' };

  it('passes when the type asks for it', () => {
    checkConfig(type, { environment: { ...needed, COLOUR: 'red' }, arguments: { dir: ['a', 'b'] } });
    checkConfig(fixtureType, {});
  });

  it('is sorted into variables and arguments where an input is said by its name alone', () => {
    expect(checkConfig(type, { NEEDED: 'x', dir: ['a'], environment: { COLOUR: 'red' } })).toEqual({
      environment: { COLOUR: 'red', NEEDED: 'x' },
      arguments: { dir: ['a'] },
    });
    expect(pointersOf(() => checkConfig(type, { NEEDED: 'x', KEY: 'x', LD_PRELOAD: 'x' }))).toEqual([
      '/config',
    ]);
    expect(pointersOf(() => checkConfig(type, { NEEDED: 'x', KEY: 'x' }))).toEqual([
      '/config/environment/KEY',
    ]);
    expect(pointersOf(() => checkConfig(type, { NEEDED: 'x', environment: 'x' }))).toEqual([
      '/config/environment',
    ]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    [
      'a variable nobody declared',
      { environment: { ...needed, LD_PRELOAD: 'x' } },
      '/config/environment/LD_PRELOAD',
    ],
    ['an argument as a variable', { environment: { ...needed, dir: 'x' } }, '/config/environment/dir'],
    [
      'a variable as an argument',
      { environment: needed, arguments: { COLOUR: 'red' } },
      '/config/arguments/COLOUR',
    ],
    ['a secret in the open', { environment: { ...needed, KEY: 'x' } }, '/config/environment/KEY'],
    ['nothing where something is needed', {}, '/config/environment/NEEDED'],
    [
      'a value that is no choice',
      { environment: { ...needed, COLOUR: 'green' } },
      '/config/environment/COLOUR',
    ],
    ['a number', { environment: { NEEDED: 1 } }, '/config/environment/NEEDED'],
    ['NUL', { environment: { NEEDED: 'a\0b' } }, '/config/environment/NEEDED'],
    ['another part', { environment: needed, command: 'sh' }, '/config'],
    ['a name with a slash', { environment: { ...needed, 'a/b': 'x' } }, '/config/environment/a~1b'],
  ])('is refused with %s', (_what, config, pointer) => {
    expect(pointersOf(() => checkConfig(type, config))).toContain(pointer);
  });
});
