// The built files on another host than the server's, with the backend of examples/: who signs in,
// tokens that end, and signing out.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, describe, test } from 'node:test';

import { choose, launch, open, say, seen, texts } from './browser.mjs';
import {
  ENCODINGS, SECRET, TOP, client, freePort, startServer, within,
} from '../sdk/node/harness.mjs';

const ORIGINS = '\n[ws]\norigins = ["http://127.0.0.1:*"]\n';

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startServer({ more: ORIGINS }), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

// The example, whose tokens live so long; the port that it listens on.
async function startBackend(t, livesSeconds, { url } = server) {
  const port = await freePort();
  const child = spawn(path.join(TOP, 'examples/web_chat_backend.py'), [
    '--secret', SECRET, '--server', url, '--port', port, '--lives-s', livesSeconds,
  ], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const lines = readline.createInterface({ input: child.stdout });
  await within(new Promise((resolve) => lines.once('line', resolve)), 'the backend');
  return port;
}

async function signIn(page, name) {
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(name);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.sidebar .dot.is-here').waitFor({ state: 'attached' });
}

// What a page is told while nobody is signed in.
const UNAUTHORIZED = /status of 401/;

describe('hosted elsewhere', () => {
  test('two sign in, and talk under the names that their tokens have', async (t) => {
    const adminPort = await startBackend(t, 600);
    const [anna, ben] = await Promise.all(['anna', 'ben'].map(async (name) => {
      const page = await open(t, browser, { adminPort }, { mayMeet: UNAUTHORIZED });
      await signIn(page, name);
      await page.locator('.entry', { hasText: 'lobby' }).click();
      return page;
    }));
    await say(anna, 'hello');
    await seen(ben, 'hello');
    await ben.locator('.author', { hasText: /^Anna$/ }).waitFor();
  });

  test('a file goes past the server, and the message says where it is', async (t) => {
    const adminPort = await startBackend(t, 600);
    const [anna, ben] = await Promise.all(['anna', 'ben'].map(async (name) => {
      const page = await open(t, browser, { adminPort }, { mayMeet: /status of (401|400)/ });
      await signIn(page, name);
      await page.locator('.entry', { hasText: 'lobby' }).click();
      return page;
    }));
    const send = anna.getByRole('button', { name: 'Send' });
    const file = { name: '<b>notes</b>.txt', mimeType: 'text/html', buffer: Buffer.from('<script>1</script>') };
    await anna.locator('input[type=file]').setInputFiles([{ ...file, name: 'empty', buffer: Buffer.alloc(0) }]);
    await anna.locator('.file[data-state=failed]').waitFor();
    assert.equal(await send.isDisabled(), true);
    await anna.getByRole('button', { name: 'Remove empty' }).click();
    await anna.locator('input[type=file]').setInputFiles([file]);
    await anna.locator('.file[data-state=done]').waitFor();
    await say(anna, 'see the file');
    await seen(ben, 'see the file');
    assert.equal(await anna.locator('.composer .file').count(), 0);
    const link = ben.getByRole('link', { name: file.name, exact: true });
    assert.match(await link.getAttribute('rel'), /noopener/);
    const answer = await ben.request.get(await link.getAttribute('href'));
    assert.equal(await answer.text(), '<script>1</script>');
    assert.equal(answer.headers()['content-type'], 'application/octet-stream');
    await choose(anna, 'see the file', 'Edit');
    await say(anna, 'here it is');
    await seen(ben, 'here it is');
    await ben.getByRole('link', { name: file.name, exact: true }).waitFor();
    await choose(anna, 'here it is', 'Take back');
    await link.waitFor({ state: 'detached' });
  });

  test('a room in memory is another one after the server was started again', async (t) => {
    const own = await startServer({ more: ORIGINS });
    t.after(() => own.stop());
    const adminPort = await startBackend(t, 600, own);
    const mayMeet = /status of 401|WebSocket connection/;
    const [anna, ben] = await Promise.all(['anna', 'ben'].map(async (name) => {
      const page = await open(t, browser, { adminPort }, { mayMeet });
      await signIn(page, name);
      await page.locator('.entry', { hasText: 'lobby' }).click();
      return page;
    }));
    for (const text of ['one', 'two', 'three']) await say(anna, text);
    await seen(ben, 'three');
    await own.kill();
    await own.startAgain();
    for (const page of [anna, ben]) await page.getByText('Nothing was said here yet.').waitFor();
    await say(ben, 'anew');
    await seen(anna, 'anew');
    assert.deepEqual(await texts(ben), ['anew']);
    await anna.locator('.entry', { hasText: 'lobby' }).getByText(/: anew$/).waitFor();
  });

  test('tokens are asked for again, and their end is shown', async (t) => {
    const adminPort = await startBackend(t, 3);
    const page = await open(t, browser, { adminPort }, { mayMeet: UNAUTHORIZED });
    let tokens = 0;
    page.on('response', (answer) => (tokens += answer.url().endsWith('/chat/token') && answer.ok() ? 1 : 0));
    await signIn(page, 'anna');
    await page.waitForResponse((answer) => answer.url().endsWith('/chat/token') && answer.ok());
    await page.waitForResponse((answer) => answer.url().endsWith('/chat/token') && answer.ok());
    assert.ok(tokens >= 3, `${tokens} tokens`);
    assert.equal(await page.locator('.banner:visible').count(), 0, 'the connection went on');
    // Signed out elsewhere: the next token is refused.
    await page.evaluate(() => fetch('logout', { method: 'POST' }));
    await page.getByText('You are not signed in.').waitFor();
    await page.getByRole('link', { name: 'Sign in' }).waitFor();
  });

  test('signing out ends the session with the backend', async (t) => {
    const adminPort = await startBackend(t, 600);
    const page = await open(t, browser, { adminPort }, { mayMeet: UNAUTHORIZED });
    await signIn(page, 'anna');
    const told = page.waitForResponse((answer) => answer.url().endsWith('/logout'));
    await page.getByRole('button', { name: 'Sign out' }).click();
    assert.equal((await told).status(), 204);
    await page.getByText('You are not signed in.').waitFor();
    await page.reload();
    await page.getByText('You are not signed in.').waitFor();
  });

  test('a token for trying out is worth nothing to a server with keys of its own', async (t) => {
    const dev = await startServer({ dev: true, web: path.join(TOP, 'web/dist') });
    t.after(() => dev.stop());
    const answer = await fetch(`http://127.0.0.1:${dev.adminPort}/dev/token`, {
      method: 'POST', body: '{"user":"anna"}',
    });
    const { token } = await answer.json();
    const anna = client(t, ENCODINGS[0], server.url, { token });
    const ended = new Promise((resolve) => anna.on('disconnected', resolve));
    anna.connect();
    assert.equal((await within(ended, 'its end')).code, 3500);
  });
});

describe('packages', () => {
  test('have licences that let anybody use them', () => {
    const free = ['MIT', 'ISC', 'BSD-3-Clause', 'Apache-2.0', 'MIT OR Apache-2.0'];
    const packagesOf = (folder) => {
      const lock = JSON.parse(readFileSync(path.join(TOP, folder, 'package-lock.json'), 'utf8'));
      return Object.entries(lock.packages);
    };
    for (const [name, { license }] of packagesOf('web')) assert.ok(free.includes(license), `${name}: ${license}`);
    // axe-core is a tool, and no part of what is built.
    const tools = packagesOf('tests/external/web').filter(([, { license }]) => !free.includes(license));
    assert.deepEqual(tools.map(([name, { license }]) => [name, license]), [['node_modules/axe-core', 'MPL-2.0']]);
  });
});
