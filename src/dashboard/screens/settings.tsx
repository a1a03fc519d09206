// What is set for the whole installation, for admins: every setting with its value and since when, changed in its place.
import type { SettingView } from '../../api/contract.ts';
import { Button } from '../components/button.tsx';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Ago } from '../components/time.tsx';
import { useReading } from '../reading.ts';
import { place, setQuery } from '../router.ts';
import { EditSetting } from './settings/edit-setting.tsx';
import { wordOf } from './settings/setting-words.ts';

/** What the first part of a key speaks of. */
const titles: Readonly<Record<string, string>> = {
  cleanup: 'Cleaning up',
  encryption: 'Encryption',
  logs: 'Logs',
  mcp: 'Instances',
  port: 'Ports',
  process: 'Processes',
};

export function SettingsScreen() {
  const settings = useReading<readonly SettingView[]>('/settings', {
    query: { limit: 200 },
    topics: ['settings'],
  });
  return (
    <>
      <PageHead title="Settings" lead="A change is in force within a second, and an event." />
      <ReadingView reading={settings} what="The settings">
        {(all) =>
          all.length === 0 ? (
            <EmptyState title="Everything is as it comes.">
              <p>"minimcp settings set KEY VALUE" sets what is not listed.</p>
            </EmptyState>
          ) : (
            groupsOf(all).map(([name, rows]) => (
              <section key={name} class="section settings" aria-labelledby={`settings-${name}`}>
                <h2 id={`settings-${name}`}>{titles[name] ?? name}</h2>
                <ul>
                  {rows.map((setting) => (
                    <Row key={setting.key} setting={setting} onSaved={settings.reload} />
                  ))}
                </ul>
              </section>
            ))
          )
        }
      </ReadingView>
    </>
  );
}

/** By the first part of the key. */
function groupsOf(all: readonly SettingView[]): readonly (readonly [string, readonly SettingView[]])[] {
  const groups = Map.groupBy(all, ({ key }) => key.split('.', 1)[0] ?? key);
  return [...groups];
}

function Row({ setting, onSaved }: { readonly setting: SettingView; readonly onSaved: () => void }) {
  const { key, value, description, updated_at: time } = setting;
  const isEditing = place.value.query.edit === key;
  const close = (): void => setQuery({ edit: undefined }, { replace: true });
  return (
    <li class="setting" data-key={key}>
      <div>
        <p>{description ?? key}</p>
        <p class="hint">
          <code>{key}</code>, set <Ago time={time} />
        </p>
      </div>
      {isEditing ? (
        <EditSetting
          setting={setting}
          onClose={close}
          onSaved={() => {
            close();
            onSaved();
          }}
        />
      ) : (
        <div class="setting-value">
          <b>{wordOf(key, value)}</b>
          <Button
            kind="quiet"
            label={`Change ${key}`}
            onClick={() => setQuery({ edit: key }, { replace: true })}
          >
            Change
          </Button>
        </div>
      )}
    </li>
  );
}
