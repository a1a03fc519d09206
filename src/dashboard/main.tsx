// The page of MiniMCP: a client of the API, like the command line, and with no right that the API does not give it. It
// takes nothing from elsewhere: no font, no script, no picture.
//
// To add a screen:
//   1. screens/NAME.tsx exports `NameScreen({ params })`; what belongs only to it stands in screens/NAME/. It starts with
//      <PageHead title=…/>, reads with useReading(path, { query, topics }) and shows it through <ReadingView/>, with an
//      <EmptyState/> that says what to do next. What the view depends on (filter, tab, page) stands in place.value.query.
//   2. One line in screens.ts puts it into the routes, and into the navigation if it has `nav`. Other screens link to it
//      with linkIfThere(path), which is undefined while it is not there.
//   3. Calls go through api/client.ts (get, send) and actions through <BusyButton onAct/> or useAction(): busy at once,
//      failures with what to do. Types come from ../api/contract.ts, by `import type` only: zod stays out of the bundle.
//   4. Its CSS, if components.css has nothing that fits, is styles/NAME.css, imported below. Colours, spaces and sizes are
//      the custom properties of styles/base.css. No style attribute in markup: the page's policy forbids it. The style
//      property of JSX is fine (Preact sets it through the CSSOM), for values that are computed.
//   5. `npm run build` prints what the bundle weighs; test/unit/dashboard-bundle.test.ts holds it to the budget.
import './styles/base.css';
import './styles/components.css';
import './styles/shell.css';
import './styles/table.css';
import './styles/instances.css';
import './styles/instance.css';
import './styles/admin.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { startLive } from './live.ts';
import { startRouter } from './router.ts';
import { screens } from './screens.ts';
import { findSession, takeLoginCode } from './session.ts';
import { startTheme } from './theme.ts';

const code = takeLoginCode();
startTheme();
startRouter(screens.map(({ path }) => path));
startLive();
findSession(code);

const page = document.getElementById('page');
if (page) render(<App />, page);

// A one-time link opened while the page is: the same way in.
addEventListener('hashchange', () => {
  const late = takeLoginCode();
  if (late !== undefined) findSession(late);
});
