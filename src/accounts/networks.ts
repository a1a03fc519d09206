// Addresses and networks of callers. Pure. An address that cannot be read lies in no network.
import { BlockList, isIP } from 'node:net';

/** The address as PostgreSQL and people write it: no IPv4-mapped form, no zone. Null when it is no address. */
export function plainAddress(address: string): string | null {
  const bare = address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
  return isIP(bare) === 0 ? null : bare;
}

/** Whether every address of `cidr` lies in one of `networks`. */
export function liesWithin(cidr: string, networks: readonly string[]): boolean {
  const inner = split(cidr);
  if (inner === undefined) return false;
  return networks.some((network) => {
    const outer = split(network);
    if (outer === undefined || outer.family !== inner.family || outer.bits > inner.bits) return false;
    const block = new BlockList();
    block.addSubnet(outer.address, outer.bits, outer.family);
    return block.check(inner.address, inner.family);
  });
}

function split(cidr: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', bits] = cidr.split('/');
  const version = isIP(address);
  if (version === 0) return undefined;
  return {
    address,
    bits: bits === undefined ? (version === 4 ? 32 : 128) : Number(bits),
    family: version === 4 ? 'ipv4' : 'ipv6',
  };
}
