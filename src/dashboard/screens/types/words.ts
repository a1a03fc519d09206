// What a type is, in words. Pure.
import type { TypeView } from '../../api/type-actions.ts';

const networks: Readonly<Record<TypeView['egress'], string>> = {
  none: 'none',
  'allow-list': 'some hosts',
  open: 'everywhere',
};

export function networkOf({ egress }: TypeView): string {
  return networks[egress];
}

export function eraOf({ era }: TypeView): string {
  return era === 'unknown' ? 'revision not known yet' : `${era} revision`;
}
