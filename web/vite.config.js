// Builds web/dist: files that any web server can host, with relative addresses.

import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vite';

const here = path.dirname(fileURLToPath(import.meta.url));

export default defineConfig({
  root: here,
  base: './',
  resolve: { alias: { 'rookery-chat-core': path.join(here, 'core/src/index.ts') } },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2022',
    // The policy allows no script and no style in the page itself.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
