// How the page in src/dashboard becomes the files in dist/dashboard that the supervisor serves. Nothing may be inlined:
// the page's Content-Security-Policy allows scripts, styles and images from its own origin only.
import { defineConfig } from 'vite';

export default defineConfig({
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
