// Builds web/console/dist: what the server shows at /console. Addresses are relative to that.

import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vite';

const here = path.dirname(fileURLToPath(import.meta.url));

export default defineConfig({
  root: here,
  base: './',
  resolve: { alias: { 'rookery-console-core': path.join(here, 'core/src/index.ts') } },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2022',
    // The policy allows no script and no style in the page itself.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
