// The operators' console in Debian's Chromium: signing in, seeing, acting, and what a keyboard, a
// phone and another language find.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ADMIN_TOKEN, DESK, PHONE, fits, fresh, launch, open, operate, startConsole, withoutPage,
} from './browser.mjs';
import { SERVER_GONE, subscribed } from '../sdk/node/harness.mjs';

const TABS = [
  'overview', 'rooms', 'connections', 'tenants', 'backend', 'keeping-out', 'dead-letters', 'flights', 'alerts', 'audit',
  'drain',
];

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startConsole(), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

const main = (page) => page.locator('main');

describe('the console', () => {
  test('comes with a strict policy, and nothing in it that needs a looser one', async () => {
    const answer = await fetch(`http://127.0.0.1:${server.adminPort}/console/`);
    const policy = answer.headers.get('content-security-policy');
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.doesNotMatch(policy, /unsafe|ws:/);
    const html = await answer.text();
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/);
  });

  test('lets in who has the token, and stays until they sign out', async (t) => {
    const page = await open(t, browser, server, { path: 'console', mayMeet: /401/ });
    await page.locator('#token').fill('wrong-wrong-wrong-wrong');
    await page.locator('#token').press('Enter');
    await page.getByRole('alert').getByText('nobody’s token').waitFor();
    assert.equal(await page.locator('#token').inputValue(), '', 'it is in the field no longer');
    await page.locator('#token').fill(ADMIN_TOKEN);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.head .badge-ready').waitFor();
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite, cookie.path],
      ['rookery_console', true, 'Strict', '/console']);
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert.doesNotMatch(kept, /rookery-development|[0-9a-f]{64}/);
    await page.reload();
    await page.locator('.head .badge-ready').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('#token').waitFor();
    await page.reload();
    await page.locator('#token').waitFor();
  });

  test('shows who is there, and what is said, as it happens', async (t) => {
    const page = await operate(t, browser, server);
    const room = fresh('room');
    const people = [await withoutPage(t, server, fresh('anna')), await withoutPage(t, server, fresh('ben'))];
    for (const one of people) await subscribed(one, `room:${room}`);
    const tile = page.locator('.tile', { hasText: 'Connections' }).locator('dd');
    await tile.getByText(/^2 /).waitFor();
    const said = page.locator('.chart', { hasText: 'Messages' }).locator('.legend-0 strong');
    let isOver = false;
    const talk = (async () => {
      while (!isOver) await people[0].rpc('chat.publish', { channel: `room:${room}`, data: { text: 'x' } });
    })();
    await page.waitForFunction((element) => parseFloat(element.textContent) > 0, await said.elementHandle());
    isOver = true;
    await talk;
    await page.getByRole('link', { name: 'Rooms' }).click();
    await main(page).getByRole('cell', { name: `room:${room}` }).waitFor();
    await page.getByRole('link', { name: 'Connections' }).click();
    await main(page).getByRole('cell', { name: /^anna/ }).waitFor();
  });

  test('keeps somebody out, says so, and writes down who did it', async (t) => {
    const page = await operate(t, browser, server, { tab: 'keeping-out' });
    const user = fresh('eve<b>&');
    const eve = await withoutPage(t, server, user);
    const gone = new Promise((resolve) => { eve.once('disconnected', resolve); });
    await main(page).getByRole('textbox', { name: 'User', exact: true }).fill(user);
    await main(page).getByRole('group', { name: 'User' }).getByRole('button', { name: 'Block' }).click();
    const dialog = page.getByRole('dialog');
    assert.match(await dialog.textContent(), new RegExp(`${user.replace(/[<>&]/g, '.')} is disconnected and kept out`));
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(eve.state, 'connected', 'nothing is done before it is confirmed');
    await main(page).getByRole('group', { name: 'User' }).getByRole('button', { name: 'Block' }).click();
    await dialog.getByRole('button', { name: 'Do it' }).click();
    await main(page).getByRole('status').getByText('Done').waitFor();
    assert.equal((await gone).code, 3503);
    const listed = main(page).getByRole('region', { name: 'Who is kept out' });
    await listed.getByRole('row').getByText(user, { exact: true }).waitFor();
    await listed.getByRole('row', { name: /eve/ }).getByRole('button', { name: 'Let in again' }).click();
    await dialog.getByRole('button', { name: 'Do it' }).click();
    await listed.getByText(user, { exact: true }).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Audit' }).click();
    await main(page).getByRole('row', { name: new RegExp('user\\.unblocked') }).first().getByText(user).waitFor();
    const row = main(page).getByRole('row', { name: new RegExp('user\\.blocked') }).first();
    await row.getByText(user, { exact: true }).waitFor();
    assert.match(await row.textContent(), /admin.*done.*console.*127\.0\.0\.1/);
    assert.equal(await main(page).locator('b').count(), 0, 'names are text');
  });

  test('shows dead letters, lets one wait again and drops the rest', async (t) => {
    const [anna, ben] = [fresh('anna<b>'), fresh('ben<i>')];
    const sender = await withoutPage(t, server, anna);
    for (const text of ['first', 'second', 'third']) {
      await sender.rpc('chat.send', { to: ben, data: { text }, ttl_s: 1 });
    }
    const page = await operate(t, browser, server, { tab: 'dead-letters' });
    const card = main(page).getByRole('region', { name: 'Dead letters' }).first();
    const row = (offset) => main(page).getByRole('row', { name: new RegExp(` ${offset} ${ben.replace(/[<>]/g, '.')} `) });
    // They are given up when their second is over, and the page asks every ten.
    await row(3).waitFor({ timeout: 60_000 });
    await row(1).waitFor();
    assert.equal(await main(page).locator('td b, td i').count(), 0, 'names are text');
    assert.doesNotMatch(await main(page).textContent(), /first|second|third/, 'what they say is not shown');
    // By keys alone: the button has the focus, the dialog takes it, and Escape gives it back.
    const requeue = row(2).getByRole('button', { name: 'Let wait again' });
    await requeue.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    assert.ok((await dialog.textContent()).includes(`${ben}`) && (await dialog.textContent()).includes(' 2.'));
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await requeue.click();
    await dialog.getByRole('button', { name: 'Do it' }).click();
    await row(2).waitFor({ state: 'detached' });
    const reader = await withoutPage(t, server, ben);
    assert.equal(reader.state, 'connected');
    // Of another user there are none.
    await card.getByLabel('For this user').fill(fresh('nobody'));
    await card.getByRole('button', { name: 'Show' }).click();
    await card.getByText('Nothing here').waitFor();
    await card.getByLabel('For this user').fill(ben);
    await page.keyboard.press('Enter');
    await row(3).waitFor();
    await card.getByLabel('Act on all of the conversation').check();
    await row(3).getByRole('button', { name: 'Drop' }).click();
    await dialog.getByRole('button', { name: 'Do it' }).click();
    await main(page).getByRole('status').getByText('Done').waitFor();
    await row(1).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Audit' }).click();
    await main(page).getByRole('row', { name: /dead_letters\.dropped/ }).first().getByText(ben).waitFor();
    await main(page).getByRole('row', { name: /dead_letters\.requeued/ }).first().getByText(ben).waitFor();
  });

  test('can be used with a keyboard', async (t) => {
    const page = await operate(t, browser, server);
    await page.locator('.heat td[tabindex="0"]').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    const label = await page.locator(':focus').getAttribute('aria-label');
    assert.match(label, /^Core 1, Commands: /);
    // A link to a page gives the focus to the page.
    await page.getByRole('link', { name: 'Flight recorder' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement?.tagName === 'MAIN');
  });

  test('asks nothing while nobody looks', async (t) => {
    const page = await operate(t, browser, server, { clock: true });
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.waitForRequest(/overview/);
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    const before = asked.length;
    await page.clock.fastForward(600_000);
    assert.equal(asked.length, before);
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: false, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await page.waitForRequest(/overview/);
  });

  for (const [language, locale] of [['English', 'en-GB'], ['Chinese', 'zh-CN']]) {
    for (const [width, viewport, colorScheme] of [['desk', DESK, 'light'], ['phone', PHONE, 'dark']]) {
      test(`in ${language} at a ${width}: nothing is cut off, and axe finds nothing serious`, async (t) => {
        const options = { locale, viewport, colorScheme };
        const gate = await open(t, browser, server, { ...options, path: 'console/', mayMeet: /401/ });
        await gate.locator('#token').waitFor();
        await fits(gate, 'the gate');
        const page = await operate(t, browser, server, { ...options, mayMeet: /401/ });
        assert.equal(await page.locator('html').getAttribute('lang'), locale);
        for (const tab of TABS) {
          await page.locator(`.tabs a[href="#/${tab}"]`).click();
          await main(page).locator('.card').first().waitFor();
          await fits(page, tab);
        }
      });
    }
  }
});

test('a drain begins when its server is named, and its progress is seen to the end', async (t) => {
  const own = await startConsole();
  t.after(() => own.stop());
  const page = await operate(t, browser, own, { tab: 'drain', mayMeet: /ERR_CONNECTION_REFUSED|503|401/ });
  await withoutPage(t, own, fresh('anna'), { mayMeet: SERVER_GONE });
  const begin = main(page).getByRole('button', { name: 'Drain this server' });
  assert.equal(await begin.isDisabled(), true);
  await main(page).getByRole('textbox').fill('another');
  assert.equal(await begin.isDisabled(), true);
  await main(page).getByRole('textbox').fill(`127.0.0.1:${own.adminPort}`);
  await begin.click();
  await page.getByRole('dialog').getByRole('button', { name: 'Do it' }).click();
  await page.getByText(/connections are still here|The server has ended/).first().waitFor();
  assert.deepEqual(await own.exited, { code: 0, signal: null });
});
