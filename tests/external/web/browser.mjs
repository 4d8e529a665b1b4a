// What the tests of the web chat stand on: a server with the chat, Debian's Chromium, and people
// who each have a browser of their own.
//
// Deliberately absent: sleeping. Every wait is for something on the page.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { ENCODINGS, TOP, connected, startServer, token } from '../sdk/node/harness.mjs';

const EXECUTABLE = process.env.ROOKERY_CHROMIUM ?? '/usr/bin/chromium';
const WAIT_MS_MAX = 20_000;
// A server that is late on a busy machine takes nobody in for a moment, and the SDK comes again.
const LATE = /Unexpected response code: 503/;
const DIST = process.env.ROOKERY_WEB ?? path.join(TOP, 'web/dist');

export const DESK = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const CONSOLE = process.env.ROOKERY_CONSOLE ?? path.join(TOP, 'web/console/dist');
// That of the development mode.
export const ADMIN_TOKEN = 'rookery-development-admin-token';

export const startConsole = () => startServer({ dev: true, console: CONSOLE });

export const startChat = () => startServer({ dev: true, web: DIST });

export const launch = () => chromium.launch({
  executablePath: EXECUTABLE,
  // Chromium's own sandbox needs another user than root.
  chromiumSandbox: process.getuid() !== 0,
});

// A person with a page. The test fails for each error of the page, what breaks the policy
// included, that `mayMeet` does not match.
export async function open(t, browser, server, options = {}) {
  const { locale = 'en-GB', viewport = DESK, colorScheme = 'light', mayMeet = null, hash = '' } = options;
  const context = await browser.newContext({
    locale, viewport, colorScheme, timezoneId: 'Asia/Shanghai', reducedMotion: 'reduce',
    hasTouch: viewport.width < 700, isMobile: viewport.width < 700, deviceScaleFactor: options.scale ?? 1,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  const surprises = [];
  const note = (what) => mayMeet?.test(what) || LATE.test(what) || surprises.push(what);
  page.on('pageerror', (error) => note(`error: ${error.stack}`));
  page.on('console', (message) => message.type() === 'error' && note(`console: ${message.text()}`));
  page.on('dialog', (dialog) => {
    // Leaving while something is not sent asks; nothing else does.
    if (dialog.type() !== 'beforeunload') note(`dialog: ${dialog.message()}`);
    return dialog.accept();
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(surprises, [], 'errors of the page');
  });
  // Time goes on as ever, and a test may let it go faster.
  if (options.clock) await page.clock.install();
  const at = options.path ?? (hash && `#${encodeURIComponent(hash)}`);
  await page.goto(`http://127.0.0.1:${server.adminPort}/${at}`);
  return page;
}

// An operator who has signed in, at a page of the console.
export async function operate(t, browser, server, options = {}) {
  // Whether somebody is signed in is asked first, and answered 401 where nobody is.
  const page = await open(t, browser, server, {
    mayMeet: /401/, ...options, path: `console/#/${options.tab ?? 'overview'}`,
  });
  await page.locator('#token').fill(ADMIN_TOKEN);
  await page.locator('#token').press('Enter');
  await page.locator('.head .badge-ready').waitFor();
  return page;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// What axe-core finds that is serious. It runs in a world that the page's policy is not for.
async function faults(page) {
  const protocol = await page.context().newCDPSession(page);
  const { frameTree } = await protocol.send('Page.getFrameTree');
  const { executionContextId: contextId } = await protocol.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id, worldName: 'axe',
  });
  const expression = `${AXE}; axe.run().then(({ violations, passes }) => JSON.stringify({
    passed: passes.length,
    found: violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html.slice(0, 120), failureSummary])]),
  }))`;
  const { result, exceptionDetails } = await protocol.send('Runtime.evaluate', {
    expression, contextId, awaitPromise: true, returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined);
  const { passed, found } = JSON.parse(result.value);
  assert.ok(passed > 5, 'axe looked at the page');
  return found;
}

// That nothing is wider than the page, and axe finds nothing serious.
export async function fits(page, what) {
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(isWide, false, `${what} is wider than the page`);
  assert.deepEqual(await faults(page), [], what);
}

// Somebody who is connected, with a conversation open.
export async function arrive(t, browser, server, name, options = {}) {
  const { room } = options;
  const page = await open(t, browser, server, { ...options, hash: room === undefined ? '' : `room:${room}` });
  if (room !== undefined) {
    const rooms = JSON.stringify([room, ...(options.rooms ?? [])]);
    await page.evaluate(([key, value]) => localStorage.setItem(key, value), [`rookery.rooms.${name}`, rooms]);
  }
  await page.locator('#name').fill(name);
  await page.locator('#name').press('Enter');
  await page.locator('.sidebar .dot.is-here').waitFor({ state: 'attached' });
  if (room !== undefined && options.loads !== false) await page.locator('.scroller .beginning, .scroller > .empty').first().waitFor();
  return page;
}

// Whoever says much says it without a page; the secret is that of the development mode.
export async function withoutPage(t, server, user, options = {}) {
  const secret = 'rookery-development-secret-known-to-everyone';
  return connected(t, ENCODINGS[0], server.url, user, { ...options, token: token({ sub: user }, secret) });
}

export const field = (page) => page.locator('.composer textarea');

export async function say(page, text) {
  await field(page).fill(text);
  await field(page).press('Enter');
}

// A message with exactly this text; `kept` ones are those that came back from the server.
export const message = (page, text) =>
  page.locator('.row:not(.is-unsent)').filter({ has: page.locator('.words', { hasText: exactly(text) }) });

export const exactly = (text) => new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}( \\((edited|已编辑)\\))?$`, 'u');

export const seen = (page, text) => message(page, text).waitFor();

// Opens the menu of a message and clicks one of its buttons.
export async function choose(page, text, button) {
  const row = message(page, text);
  await row.hover();
  await row.locator('.dots').click();
  await row.getByRole('button', { name: button, exact: true }).click();
}

export const texts = (page) => page.locator('.row .words').allTextContents();

let freshCount = 0;
export const fresh = (name) => `${name}-${process.pid}-${++freshCount}`;
