// What is on the page: the login, or the shell with the screen that the address names.
import { useEffect } from 'preact/hooks';
import { EmptyState, ErrorNotice } from './components/notices.tsx';
import { PageHead } from './components/page-head.tsx';
import { Shell } from './components/shell.tsx';
import { Toaster } from './components/toaster.tsx';
import { hrefOf, matchPath } from './hash.ts';
import { go, place } from './router.ts';
import { LoginScreen } from './screens/login.tsx';
import { type Screen, screens } from './screens.ts';
import { startProblem } from './session.ts';
import { may, session } from './session-state.ts';

export function App() {
  return (
    <>
      <Content />
      <Toaster />
    </>
  );
}

function Content() {
  if (session.value === null) return <LoginScreen />;
  if (session.value === undefined) return <Starting />;
  const offered = screens.filter(isOffered);
  const nav = offered.flatMap(({ path, nav: label }) => (label === undefined ? [] : [{ path, label }]));
  return (
    <Shell nav={nav}>
      <Current offered={offered} />
    </Shell>
  );
}

function isOffered({ scope }: Screen): boolean {
  return scope === undefined || may(scope);
}

function Starting() {
  return <main class="starting">{startProblem.value && <ErrorNotice problem={startProblem.value} />}</main>;
}

function Current({ offered }: { readonly offered: readonly Screen[] }) {
  const { path } = place.value;
  const [first] = offered;
  useEffect(() => {
    if (path === '/' && first) go(hrefOf(first.path), { replace: true });
  }, [path, first]);
  for (const { path: pattern, view: View } of offered) {
    const params = matchPath(pattern, path);
    // The key makes another instance another screen, with nothing left over of the one before.
    if (params) return <View key={path} params={params} />;
  }
  if (path === '/' && first) return null;
  return (
    <>
      <PageHead title="Nothing here" />
      <EmptyState title="This page has no such place, or you may not see it.">
        {first && <a href={hrefOf(first.path)}>Go to {first.nav}</a>}
      </EmptyState>
    </>
  );
}
