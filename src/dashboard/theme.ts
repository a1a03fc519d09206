// Light, dark, or as the system has it. The choice is kept in this browser only.
import { effect, signal } from '@preact/signals';

export const themes = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const storageName = 'minimcp.theme';

function stored(): Theme {
  try {
    return themes.find((theme) => theme === localStorage.getItem(storageName)) ?? 'auto';
  } catch {
    return 'auto';
  }
}

export const theme = signal<Theme>(stored());

export function startTheme(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    try {
      localStorage.setItem(storageName, theme.value);
    } catch {
      // A browser that keeps nothing still shows the theme until it is closed.
    }
  });
}
