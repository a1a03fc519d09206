// How the page in src/dashboard becomes the files in dist/dashboard that the supervisor serves. Nothing may be inlined:
// the page's Content-Security-Policy allows scripts, styles and images from its own origin only.
import { defineConfig, type Plugin } from 'vite';

/**
 * What of uPlot the page leaves out, as its source says it: legends, scales that are not linear, courses that are not
 * lines, its own way to write times, and what it offers to be built upon. The minifier drops what can then not be reached: a fifth of it.
 */
const leftOut: readonly (readonly [text: string | RegExp, instead: string])[] = [
  [/uPlot\.assign = assign;[\s\S]*(?=export \{ uPlot)/, ''],
  ['const showLegend = legend.show;', 'const showLegend = false;'],
  [/\b\w+\.distr == (?:3|4|100)\b/g, 'false'],
  [/\bdistr == (?:2|3|4|100)\b/g, 'false'],
  [/\bsc\.distr >= 3\b/g, 'false'],
  [/\bconst mode = \w+\.mode;/g, 'const mode = 1;'],
  [/\bmode == 2\b/g, 'false'],
  [/\btime(?:Axis|Series)Vals?\(_tzDate, .*_fmtDate\)\)/g, 'retArg1'],
];

/** The version of uPlot is pinned. Another one that reads otherwise fails the build, and does not just grow. */
const slimPlot: Plugin = {
  name: 'slim-plot',
  transform: {
    filter: { id: /uPlot\.esm\.js$/ },
    handler: (code) =>
      leftOut.reduce((text, [part, instead]) => {
        const left = text.replace(part, instead);
        if (left === text) throw new Error(`uPlot has changed: ${String(part)} is not in it any more`);
        return left;
      }, code),
  },
};

export default defineConfig({
  plugins: [slimPlot],
  root: 'src/dashboard',
  // Relative, so that a proxy may put the page under a path of its own.
  base: './',
  publicDir: false,
  build: {
    outDir: '../../dist/dashboard',
    emptyOutDir: true,
    assetsDir: 'assets',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The first browsers with light-dark() in CSS, which the two themes are made of.
    target: ['chrome123', 'firefox120', 'safari17.5'],
  },
});
