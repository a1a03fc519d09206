// What the proxy of an allow-list lets through: names, ports and addresses, as data.
import { describe, expect, it } from 'vitest';
import { isAllowed, isInner, readTarget } from '../../src/shim/egress.ts';

describe('a target', () => {
  it.each([
    ['example.com:443', { host: 'example.com', port: 443 }],
    ['EXAMPLE.com.:443', { host: 'example.com', port: 443 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['10.0.0.1:1', { host: '10.0.0.1', port: 1 }],
  ])('%s is read', (text, wish) => expect(readTarget(text)).toEqual(wish));

  it.each([
    '',
    'example.com',
    'example.com:0',
    'example.com:65536',
    'a b:443',
    'user@host:443',
    'http://x/:443',
    '::1:80',
    'x:443:443',
  ])('%j is none', (text) => expect(readTarget(text)).toBeUndefined());
});

describe('the list', () => {
  const hosts = ['api.example.com', '*.example.org', 'other.example:8443', '192.0.2.7'];

  it.each([
    ['api.example.com', 443],
    ['a.example.org', 443],
    ['a.b.example.org', 443],
    ['other.example', 8443],
    ['192.0.2.7', 443],
  ])('allows %s:%d', (host, port) => expect(isAllowed({ host, port }, hosts)).toBe(true));

  it.each([
    ['api.example.com', 80],
    ['evil-api.example.com', 443],
    ['api.example.com.evil.example', 443],
    ['example.org', 443],
    ['evilexample.org', 443],
    ['.example.org', 443],
    ['other.example', 443],
    ['192.0.2.70', 443],
  ])('does not allow %s:%d', (host, port) => expect(isAllowed({ host, port }, hosts)).toBe(false));
});

describe('an address', () => {
  it.each([
    ...[
      '127.0.0.1',
      '10.1.2.3',
      '172.16.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '100.64.0.1',
      '0.0.0.0',
      '224.0.0.1',
    ],
    ...[
      '255.255.255.255',
      '::',
      '::1',
      'fe80::1',
      'fd00::1',
      'ff02::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      'nonsense',
    ],
  ])('%s is inner', (address) => expect(isInner(address)).toBe(true));

  it.each(['1.1.1.1', '140.82.112.3', '172.32.0.1', '2606:4700::1111', '::ffff:1.1.1.1'])(
    '%s is public',
    (address) => expect(isInner(address)).toBe(false),
  );
});
