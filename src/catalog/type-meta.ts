// What is ours in a server.json, under _meta: how a type is kept, limited and let out. Unknown fields are refused, so
// that a misspelt limit is not a missing one.
import { z } from 'zod';
import { eras } from '../domain/server-type.ts';

/** The key of our part of `_meta`. */
export const typeMetaKey = 'dev.minimcp/type';

const size = z.string().regex(/^[1-9]\d{0,9}[kmg]?$/i, 'a size like "512m" or "1g"');
const host = z
  .string()
  .max(260)
  .regex(
    /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?$/i,
    'a host name, or "*." and a domain; ":port" for other than 443',
  );

const readOnlyPath = z
  .string()
  .max(1_000)
  .regex(/^\/[^\0]*[^/\0]$/, 'an absolute path')
  .refine(
    (path) => !path.split('/').some((part) => part === '..' || part === '.'),
    'a path without "." and ".."',
  )
  .refine(
    (path) => !/^\/(proc|sys|dev|run|root|home\/mcp|opt\/mcp|opt\/cache|tmp)(\/|$)/.test(path),
    'a path that a sandbox may show: not of /proc, /sys, /dev, /run, /root or /tmp, nor one the sandbox uses itself',
  );

export const typeMetaSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,49}$/, 'lower-case letters, digits and single hyphens')
    .optional(),
  display_name: z.string().min(1).max(100).optional(),
  icon_url: z.url().max(500).optional(),
  /** The file inside the package that is started; default: what its package.json names as bin. */
  script: z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9_@.-]+(\/[A-Za-z0-9_@.-]+)*$/, 'a path inside the package')
    .refine((path) => !path.split('/').includes('..'), 'a path inside the package')
    .optional(),
  key_variable: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/)
    .optional(),
  max_duration_minutes: z.int().min(1).max(525_600).optional(),
  idle_minutes: z.int().min(1).optional(),
  egress: z.enum(['none', 'allow-list', 'open']).optional(),
  egress_hosts: z.array(host).max(100).optional(),
  read_only_paths: z.array(readOnlyPath).max(20).optional(),
  resource_limits: z
    .strictObject({
      cpu: z
        .string()
        .regex(/^\d{1,3}(\.\d{1,2})?$/, 'cores, like "0.5"')
        .optional(),
      memory: size.optional(),
      processes: z
        .int()
        .min(16, 'at least 16: threads count, and Node alone has a dozen')
        .max(100_000)
        .optional(),
      open_files: z.int().min(64).max(1_000_000).optional(),
      disk: size.optional(),
    })
    .optional(),
  restart_policy: z
    .strictObject({
      tries: z.int().min(0).max(1_000).optional(),
      backoff_seconds: z.number().min(0).max(3_600).optional(),
      backoff_seconds_max: z.number().min(0).max(86_400).optional(),
      reset_after_seconds: z.number().min(0).max(86_400).optional(),
    })
    .optional(),
  start_timeout_seconds: z.int().min(1).max(600).optional(),
  era: z.enum(eras).optional(),
  legacy_sse: z.boolean().optional(),
  required_scopes: z.array(z.string().max(100)).max(20).optional(),
});
export type TypeMeta = z.infer<typeof typeMetaSchema>;

const reserved = new Set([
  'HOME',
  'TMPDIR',
  'PATH',
  'LANG',
  'NODE_OPTIONS',
  'NODE_PATH',
  'NODE_COMPILE_CACHE',
  'MCP_INSTANCE_ID',
  'HOST',
  'PORT',
  'ENV',
  'BASH_ENV',
  'IFS',
  'GLIBC_TUNABLES',
  'GCONV_PATH',
  'LOCPATH',
]);

/** Variables that are ours to set, or that would change what the programs around a server load. */
export function isReservedVariable(name: string): boolean {
  return reserved.has(name) || /^(LD_|DYLD_|MALLOC_)/.test(name);
}
