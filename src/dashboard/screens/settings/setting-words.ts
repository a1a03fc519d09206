// What a setting's value means, by how its key ends; and what a typed text means as its value. Pure.
import type { SettingView } from '../../../api/contract.ts';
import { formatMinutes } from '../../format.ts';

const units: readonly (readonly [ending: string, unit: string])[] = [
  ['_minutes', 'minutes'],
  ['_seconds', 'seconds'],
  ['_days', 'days'],
  ['_mb', 'MB'],
  ['_mb_per_day', 'MB a day'],
  ['_percent', '%'],
];

export function unitOf(key: string): string | undefined {
  return units.find(([ending]) => key.endsWith(ending))?.[1];
}

/** The value as it is read: `1 d`, `512 MB`. */
export function wordOf(key: string, value: unknown): string {
  if (typeof value !== 'number') return typeof value === 'string' ? value : JSON.stringify(value);
  const unit = unitOf(key);
  if (unit === 'minutes') return formatMinutes(value);
  return unit === undefined ? String(value) : `${value} ${unit}`;
}

/** What was typed, as what the value was: a number stays a number if it can. */
export function typedValue(text: string, before: SettingView['value']): unknown {
  const typed = text.trim();
  if (typeof before === 'string') return typed;
  try {
    return JSON.parse(typed);
  } catch {
    return typed;
  }
}
