// The page itself: what is loaded, under which policy, how it looks in both languages and at both
// widths, and what a keyboard and a screen reader find.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  DESK, PHONE, arrive, choose, field, fits, fresh, launch, message, open, say, seen, startChat, withoutPage,
} from './browser.mjs';
import { subscribed } from '../sdk/node/harness.mjs';

// What may be loaded until the page shows something.
const FIRST_PAINT_BYTES_MAX = 120 << 10;

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startChat(), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

describe('the page', () => {
  test('comes with a strict policy, and nothing in it that needs a looser one', async () => {
    const answer = await fetch(`http://127.0.0.1:${server.adminPort}/`);
    const policy = answer.headers.get('content-security-policy');
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.match(policy, new RegExp(`connect-src 'self' ws://\\*:${server.port};`));
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    const html = await answer.text();
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/);
  });

  test('is small', async (t) => {
    const page = await open(t, browser, server);
    await page.locator('#name').waitFor();
    const bytes = await page.evaluate(() => performance.getEntriesByType('resource')
      .concat(performance.getEntriesByType('navigation'))
      .reduce((sum, { transferSize }) => sum + transferSize, 0));
    assert.ok(bytes > 10_000 && bytes < FIRST_PAINT_BYTES_MAX, `${bytes} bytes`);
  });

  test('gives tokens to its own pages alone', async () => {
    const ask = (headers) => fetch(`http://127.0.0.1:${server.adminPort}/dev/token`, {
      method: 'POST', body: '{"user":"anna"}', headers,
    });
    assert.equal((await ask({ origin: 'https://elsewhere.example' })).status, 403);
    assert.match((await (await ask({})).json()).token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  });

  for (const [language, locale] of [['English', 'en-GB'], ['Chinese', 'zh-CN']]) {
    for (const [width, viewport, colorScheme] of [['desk', DESK, 'light'], ['phone', PHONE, 'dark']]) {
      test(`in ${language} at a ${width}: nothing is cut off, and axe finds nothing serious`, async (t) => {
        const zh = language === 'Chinese';
        const gate = await open(t, browser, server, { locale, viewport, colorScheme });
        await gate.locator('#name').waitFor();
        assert.equal(await gate.locator('html').getAttribute('lang'), locale);
        await fits(gate, 'the gate');

        const room = fresh('a-room-with-a-name-that-is-longer-than-any-list-is-wide');
        const options = { room, locale, viewport, colorScheme };
        const page = await arrive(t, browser, server, fresh('anna'), options);
        const long = 'w'.repeat(400);
        for (const text of [long, '你好，世界', 'مرحبا بالعالم']) {
          await say(page, text);
          await seen(page, text);
        }
        const directions = await page.locator('.row .words').evaluateAll((all) =>
          all.map((one) => getComputedStyle(one).direction));
        assert.deepEqual(directions, ['ltr', 'ltr', 'rtl']);
        await choose(page, '你好，世界', zh ? '用 👍 回应' : 'React with 👍');
        await message(page, '你好，世界').locator('.reaction').waitFor();
        await fits(page, 'a room');
        await page.locator('.conversation-head').getByText(zh ? '1 人在线' : '1 here').click();
        await page.locator('.person').waitFor();
        await fits(page, 'who is there');
        await message(page, '你好，世界').locator('.dots').focus();
        await page.keyboard.press('Enter');
        await page.locator('.menu').waitFor();
        await fits(page, 'a menu');
        await page.keyboard.press('Escape');
        await page.locator('.menu').waitFor({ state: 'detached' });
        if (width === 'phone') {
          await page.getByRole('button', { name: zh ? '所有会话' : 'All conversations' }).click();
          await page.locator('.entry').first().waitFor();
          await fits(page, 'the list');
        }
      });
    }
  }

  test('can be used with a keyboard, and says what comes', async (t) => {
    const room = fresh('room');
    const page = await arrive(t, browser, server, fresh('anna'), { room });
    const log = page.getByRole('log', { name: room });
    await log.waitFor();
    const ben = await withoutPage(t, server, fresh('ben'));
    await subscribed(ben, `room:${room}`);
    await page.getByRole('button', { name: '2 here' }).waitFor();
    const channel = `room:${room}`;
    await ben.rpc('chat.publish', { channel, data: { text: 'first' } });
    await ben.rpc('chat.publish', { channel, data: { text: 'said aloud' } });
    await page.locator('.unseen[aria-live=polite]', { hasText: 'said aloud' }).waitFor({ state: 'attached' });
    await page.locator('.message-list .scroller').focus();
    await page.keyboard.press('Tab');
    assert.match(await page.locator(':focus').getAttribute('aria-label'), /^What to do with the message/);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('.reaction').waitFor();
    await field(page).focus();
    await page.keyboard.type('line one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('line two');
    await page.keyboard.press('Enter');
    await seen(page, 'line one\nline two');
  });

  test('remembers language and colours, and forgets who signed out', async (t) => {
    const page = await arrive(t, browser, server, fresh('anna'));
    await page.getByLabel('Language').selectOption('zh');
    await page.getByLabel('配色').selectOption('dark');
    await page.reload();
    await page.locator('.sidebar .dot.is-here').waitFor({ state: 'attached' });
    await page.getByText('聊天室', { exact: true }).waitFor();
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
    await page.getByRole('button', { name: '退出' }).click();
    await page.locator('#name').waitFor();
    await page.reload();
    await page.locator('#name').waitFor();
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    assert.doesNotMatch(kept, /eyJ/, 'no token is kept');
  });
});
