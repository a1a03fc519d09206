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

/** `open_files`: Open files. */
export function limitWord(name: string): string {
  if (name === 'cpu') return 'CPU cores';
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll('_', ' ');
}
