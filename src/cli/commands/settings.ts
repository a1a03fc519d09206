// `settings`: what is set for the whole installation (admins).
import type { Command } from 'commander';
import type { SettingView } from '../../api/contract.ts';
import { Fault } from '../../base/errors.ts';
import { type Context, declare, type Surroundings } from '../context.ts';
import { oneLine } from '../output.ts';
import { table } from '../table.ts';

export function addSettings(program: Command, surroundings: Surroundings): void {
  const settings = program.command('settings').summary('settings of the whole installation (admins)');
  declare(settings, surroundings, {
    usage: 'get [key]',
    summary: 'show settings',
    handler: async (context, _options, key = '') => {
      const { data } = await context.api.all<SettingView>('/settings');
      const shown = key === '' ? data : data.filter((setting) => setting.key === key);
      if (key !== '' && shown[0] === undefined) throw new Fault('not_found', `there is no setting "${key}"`);
      return { document: key === '' ? shown : shown[0], text: settingTable(context, shown) };
    },
  });
  declare(settings, surroundings, {
    usage: 'set <key> <value>',
    summary: 'change a setting; the value is JSON, anything else is taken as text',
    handler: async (context, _options, key = '', value = '') => {
      const body = { value: jsonOrText(value) };
      const setting = await context.api.one<SettingView>('PUT', `/settings/${encodeURIComponent(key)}`, {
        body,
      });
      return { document: setting, text: settingTable(context, [setting]) };
    },
  });
}

function settingTable(context: Context, settings: readonly SettingView[]): string {
  const rows = settings.map(({ key, value, description }) => [
    key,
    JSON.stringify(value),
    oneLine(description ?? ''),
  ]);
  const value = { title: 'VALUE', yields: 1, least: 10 };
  return table(['SETTING', value, { title: 'WHAT IT IS', yields: 2, least: 12 }], rows, context);
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
