// Two people talk in the web chat: in a room and directly, there and away.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  arrive, choose, exactly, field, fresh, launch, message, say, seen, startChat, texts,
  withoutPage,
} from './browser.mjs';
import { subscribed } from '../sdk/node/harness.mjs';

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startChat(), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

// Two in one room, each with a name that nobody else has.
async function two(t, options = {}) {
  const room = fresh('room');
  const [anna, ben] = await Promise.all(['anna', 'ben'].map(async (name) => {
    const user = fresh(name);
    const page = await arrive(t, browser, server, user, { room, ...options });
    return { page, user };
  }));
  return { room, anna, ben };
}

const entry = (page, title) =>
  page.locator('.entry').filter({ has: page.locator('.entry-title', { hasText: exactly(title) }) });
// Only a request that could not be sent, which is what an absent network is.
const ABSENT = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED|WebSocket connection/;

describe('two people', () => {
  test('talk in a room, and see who is there, who types, and who read', async (t) => {
    const { anna, ben } = await two(t);
    await anna.page.getByRole('button', { name: '2 here' }).waitFor();
    await say(anna.page, 'hello');
    await seen(ben.page, 'hello');
    await field(ben.page).pressSequentially('hi');
    await anna.page.getByText(`${ben.user} is typing…`).waitFor();
    await field(ben.page).press('Enter');
    await seen(anna.page, 'hi');
    await message(anna.page, 'hello').getByText('Read by 1').waitFor();
    assert.equal(await anna.page.locator('.typing').textContent(), '');
    await field(ben.page).fill('two\nlines');
    await field(ben.page).press('Enter');
    await seen(anna.page, 'two\nlines');
    await anna.page.getByRole('button', { name: '2 here' }).click();
    await anna.page.locator('.person', { hasText: ben.user }).waitFor();
    await ben.page.context().close();
    await anna.page.getByRole('button', { name: '1 here' }).waitFor();
  });

  test('talk directly: what is unread is counted, and reading is told', async (t) => {
    const { anna, ben } = await two(t);
    await anna.page.getByRole('button', { name: 'Write to somebody' }).click();
    await anna.page.getByLabel('Name of the person').fill(ben.user);
    await anna.page.getByLabel('Name of the person').press('Enter');
    await say(anna.page, 'one');
    await message(anna.page, 'one').getByText('Delivered').waitFor();
    await say(anna.page, 'two');
    await entry(ben.page, anna.user).getByText('2 unread').waitFor();
    await ben.page.waitForFunction(() => document.title.startsWith('(2) '));
    await entry(ben.page, anna.user).click();
    await seen(ben.page, 'two');
    await ben.page.locator('.divider').waitFor();
    await message(anna.page, 'two').getByText('Read', { exact: true }).waitFor();
    assert.equal(await ben.page.locator('.badge').count(), 0);
    await field(ben.page).pressSequentially('yes');
    await anna.page.getByText(`${ben.user} is typing…`).waitFor();
    await field(ben.page).press('Enter');
    await seen(anna.page, 'yes');
  });

  test('are told of what is said in a room that they do not look at', async (t) => {
    const [room, other] = [fresh('room'), fresh('other')];
    const anna = await arrive(t, browser, server, fresh('anna'), { room, rooms: [other] });
    const ben = await arrive(t, browser, server, fresh('ben'), { room: other, rooms: [] });
    await say(ben, 'over here');
    await entry(anna, other).getByText('1 unread').waitFor();
    await entry(anna, other).getByText(/: over here$/).waitFor();
    await entry(anna, other).click();
    await seen(anna, 'over here');
    await anna.locator('.badge').waitFor({ state: 'detached' });
    await message(ben, 'over here').getByText('Read by 1').waitFor();
  });

  test('edit, react and take back, and both see the same', async (t) => {
    const { anna, ben } = await two(t);
    await say(anna.page, 'frist');
    await seen(ben.page, 'frist');
    await choose(ben.page, 'frist', 'React with 👍');
    await message(anna.page, 'frist').getByRole('button', { name: '👍: 1' }).click();
    await message(ben.page, 'frist').getByRole('button', { name: '👍: 2', pressed: true }).waitFor();
    await message(ben.page, 'frist').getByRole('button', { name: '👍: 2' }).click();
    await message(anna.page, 'frist').getByRole('button', { name: '👍: 1', pressed: true }).waitFor();

    await choose(anna.page, 'frist', 'Edit');
    await say(anna.page, 'first');
    await message(ben.page, 'first').getByText('(edited)').waitFor();
    await field(anna.page).press('ArrowUp');
    assert.equal(await field(anna.page).inputValue(), 'first', 'the arrow up edits the last one');
    await field(anna.page).press('Escape');
    assert.equal(await field(anna.page).inputValue(), '');

    await choose(anna.page, 'first', 'Take back');
    for (const { page } of [anna, ben]) {
      await message(page, 'This message was taken back.').waitFor();
      assert.equal(await page.locator('.reaction').count(), 0);
    }
    await message(ben.page, 'This message was taken back.').waitFor();
    assert.equal(await ben.page.locator('.dots').count(), 0, 'nothing can be done with it');
    await say(ben.page, 'mine');
    await seen(anna.page, 'mine');
    await message(anna.page, 'mine').hover();
    await message(anna.page, 'mine').locator('.dots').click();
    assert.equal(await anna.page.locator('.menu').getByRole('button', { name: 'Edit' }).count(), 0);
  });

  test('one goes offline and returns: nothing is missing, and nothing there twice', async (t) => {
    const { room, anna, ben } = await two(t, { mayMeet: ABSENT });
    await say(anna.page, 'before');
    await choose(anna.page, 'before', 'React with 👍');
    await seen(ben.page, 'before');
    await ben.page.context().setOffline(true);
    await ben.page.locator('.banner[data-state=offline]').waitFor();
    await say(ben.page, 'of ben 1');
    await say(ben.page, 'of ben 2');
    await ben.page.locator('.is-unsent[data-state=waiting]').nth(1).waitFor();
    await say(anna.page, 'meanwhile');
    await choose(anna.page, 'before', 'Edit');
    await say(anna.page, 'before, edited');
    await message(anna.page, 'before, edited').getByText('(edited)').waitFor();
    await message(anna.page, 'before, edited').getByRole('button', { name: '👍: 1' }).click();
    await message(anna.page, 'before, edited').locator('.reaction').waitFor({ state: 'detached' });
    await anna.page.getByRole('button', { name: 'Write to somebody' }).click();
    await anna.page.getByLabel('Name of the person').fill(ben.user);
    await anna.page.getByLabel('Name of the person').press('Enter');
    await say(anna.page, 'directly');
    await seen(anna.page, 'directly');
    await entry(anna.page, room).click();
    await ben.page.context().setOffline(false);
    await entry(ben.page, anna.user).getByText('1 unread').waitFor();
    const want = ['before, edited (edited)', 'meanwhile', 'of ben 1', 'of ben 2'];
    for (const { page } of [anna, ben]) {
      await seen(page, 'of ben 2');
      await page.locator('.is-unsent').first().waitFor({ state: 'detached' });
      assert.deepEqual(await texts(page), want);
    }
    await message(ben.page, 'before, edited').locator('.reaction').waitFor({ state: 'detached' });
  });

  test('what waits outlives a reload, is said once, and is gone with who signs out', async (t) => {
    const { anna, ben } = await two(t, { mayMeet: ABSENT });
    // From its next load on the page of ben reaches the server where it may.
    let mayPass = true;
    const open = [];
    let onOpen;
    const isOpen = new Promise((resolve) => { onOpen = resolve; });
    await ben.page.routeWebSocket(/connection/, (socket) => {
      if (!mayPass) {
        socket.close();
        return;
      }
      open.push(socket, socket.connectToServer());
      onOpen();
    });
    await ben.page.reload();
    await isOpen;
    mayPass = false;
    await Promise.all(open.map((socket) => socket.close()));
    await say(ben.page, 'one');
    await say(ben.page, 'two');
    await ben.page.locator('.is-unsent[data-state=waiting]').nth(1).waitFor();
    await ben.page.reload();
    await ben.page.locator('.is-unsent[data-state=waiting]', { hasText: 'two' }).waitFor();
    assert.deepEqual(await texts(ben.page), ['one', 'two']);
    mayPass = true;
    await seen(anna.page, 'two');
    await ben.page.locator('.is-unsent').first().waitFor({ state: 'detached' });
    for (const { page } of [anna, ben]) assert.deepEqual(await texts(page), ['one', 'two']);
    const kept = () => ben.page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.includes('unsent')));
    assert.deepEqual(await kept(), [], 'what was sent is kept no longer');

    mayPass = false;
    await ben.page.reload();
    await say(ben.page, 'never');
    await ben.page.locator('.is-unsent[data-state=waiting]').waitFor();
    assert.equal((await kept()).length, 1);
    await ben.page.getByRole('button', { name: 'Sign out' }).click();
    await ben.page.locator('#name').waitFor();
    assert.deepEqual(await kept(), []);
  });

  test('the server is killed and comes back: what was said meanwhile arrives once', async (t) => {
    const own = await startChat();
    t.after(() => own.stop());
    const room = fresh('room');
    const [anna, ben] = await Promise.all(['anna', 'ben'].map((name) =>
      arrive(t, browser, own, name, { room, mayMeet: ABSENT })));
    await say(anna, 'one');
    await seen(ben, 'one');
    await own.kill();
    await anna.locator('.banner[data-state=connecting]').waitFor();
    await say(anna, 'two');
    await anna.locator('.is-unsent[data-state=waiting]').waitFor();
    await own.startAgain();
    for (const page of [anna, ben]) {
      await seen(page, 'two');
      assert.deepEqual(await texts(page), ['one', 'two']);
    }
  });

  test('what was said before somebody came is loaded by scrolling, each message once', async (t) => {
    const room = fresh('room');
    const anna = await withoutPage(t, server, fresh('anna'));
    await subscribed(anna, `room:${room}`);
    const count = 300;
    const names = Array.from({ length: count }, (_, index) => `number ${index + 1}`);
    for (const text of names) {
      await anna.rpc('chat.publish', { channel: `room:${room}`, data: { text } });
    }
    const ben = await arrive(t, browser, server, fresh('ben'), { rooms: [], room: undefined });
    await ben.getByRole('button', { name: 'Join a room' }).click();
    await ben.getByLabel('Name of the room').fill(room);
    await ben.getByLabel('Name of the room').press('Enter');
    await seen(ben, `number ${count}`);
    const read = new Set();
    let most = 0;
    for (;;) {
      const drawn = await texts(ben);
      drawn.forEach((text) => read.add(text));
      most = Math.max(most, drawn.length);
      if (read.has('number 1')) break;
      const top = drawn[0];
      await ben.locator('.scroller').evaluate((scroller) => scroller.scrollBy(0, -600));
      await ben.waitForFunction((before) => {
        const first = document.querySelector('.row .words')?.textContent;
        const isMoved = document.querySelector('.scroller').scrollTop > 900;
        return first !== before || isMoved;
      }, top);
    }
    assert.equal(read.size, count);
    assert.ok(most < 120, `${most} rows were drawn`);
    await ben.getByText('This is the beginning.').waitFor();
    await ben.getByRole('button', { name: 'To the newest' }).click();
    await seen(ben, `number ${count}`);
    // As somebody does who drags the bar: past all that was drawn.
    await ben.locator('.scroller').evaluate((scroller) => (scroller.scrollTop = 0));
    await seen(ben, 'number 1');
    await ben.getByText('This is the beginning.').waitFor();

    await ben.getByRole('button', { name: 'Search' }).click();
    await ben.getByLabel('Search in what is loaded').fill('NUMBER 29');
    await ben.getByText('11 messages').waitFor();
    await ben.locator('.result', { hasText: /number 29$/ }).click();
    await ben.locator('.row.is-marked', { hasText: 'number 29' }).waitFor();
    const box = await ben.locator('.row.is-marked').boundingBox();
    assert.ok(box.y > 60 && box.y < 700, `it is in sight at ${box.y}`);
  });
});

describe('what users write', () => {
  test('is text, also in names of people and rooms', async (t) => {
    const markup = '<img src=x onerror="alert(1)">';
    const script = '<script>alert(2)</script><b>bold</b> &amp; javascript:alert(3)';
    const room = fresh('<i>room</i>');
    const anna = await arrive(t, browser, server, markup, { room });
    const ben = await arrive(t, browser, server, fresh('ben'), { room });
    await say(anna, script);
    await seen(ben, script);
    await ben.locator('.author', { hasText: markup }).waitFor();
    await ben.getByRole('button', { name: '2 here' }).click();
    await ben.locator('.person', { hasText: markup }).click();
    await say(ben, markup);
    await entry(anna, await ben.locator('.me').textContent()).click();
    await seen(anna, markup);
    for (const page of [anna, ben]) {
      assert.equal(await page.locator('#app img, #app script, #app i, #app b').count(), 0);
    }
  });

  test('goes with Enter, but not with the Enter that ends a composition', async (t) => {
    const { anna, ben } = await two(t);
    const protocol = await anna.page.context().newCDPSession(anna.page);
    await field(anna.page).focus();
    await protocol.send('Input.imeSetComposition', { text: 'ni', selectionStart: 2, selectionEnd: 2 });
    await protocol.send('Input.imeSetComposition', { text: '你好', selectionStart: 2, selectionEnd: 2 });
    // As Chromium tells it: the key belongs to the input method.
    const enter = { key: 'Process', code: 'Enter', windowsVirtualKeyCode: 229 };
    await protocol.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...enter });
    await protocol.send('Input.dispatchKeyEvent', { type: 'keyUp', ...enter });
    // As other browsers do: the key is Enter, while the composition goes on.
    await anna.page.keyboard.down('Enter');
    await anna.page.keyboard.up('Enter');
    assert.match(await field(anna.page).inputValue(), /^你好/);
    assert.equal(await anna.page.locator('.row').count(), 0);
    await protocol.send('Input.insertText', { text: '你好' });
    await field(anna.page).fill('你好');
    await field(anna.page).press('Enter');
    await seen(ben.page, '你好');
    assert.deepEqual(await texts(ben.page), ['你好']);
  });
});
