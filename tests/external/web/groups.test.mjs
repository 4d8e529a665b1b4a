// Groups in the web chat: who begins one, who is invited, joins, leads, mutes and leaves it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  DESK, PHONE, arrive, exactly, field, fits, fresh, launch, message, say, seen, startChat,
} from './browser.mjs';

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startChat(), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

const entry = (page, title) =>
  page.locator('.entry').filter({ has: page.locator('.entry-title', { hasText: exactly(title) }) });
const became = (page, text) => page.locator('.became', { hasText: text }).waitFor();
const panel = (page) => page.getByRole('complementary', { name: /^(Members|成员)$/ });
const member = (page, user) => panel(page).locator('.member', { hasText: user });

async function comes(t, name, options = {}) {
  const user = fresh(name);
  return { user, page: await arrive(t, browser, server, user, options) };
}

// A group with its members beside it, begun by keyboard alone.
async function begin(page, title) {
  await page.getByRole('button', { name: /^(Begin a group|新建群组)$/ }).press('Enter');
  await page.keyboard.type(title);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /^(1 member|1 名成员)$/ }).press('Enter');
  await panel(page).waitFor();
}

async function invite(page, user) {
  await panel(page).getByLabel(/^(Invite a person by name|按名字邀请)$/).fill(user);
  await page.keyboard.press('Enter');
  await member(page, user).getByText(/^(Invited|已邀请)$/).waitFor();
}

describe('a group', () => {
  test('is begun, and whoever is invited joins it or does not', async (t) => {
    const title = fresh('hiking');
    const [anna, ben, carl] = await Promise.all(['anna', 'ben', 'carl'].map((name) => comes(t, name)));
    await begin(anna.page, title);
    await became(anna.page, `${anna.user} began the group.`);
    await say(anna.page, 'before you came');
    await invite(anna.page, ben.user);
    await invite(anna.page, carl.user);
    await became(anna.page, `${anna.user} invited ${ben.user}.`);

    await entry(ben.page, title).getByText('You are invited.').waitFor();
    assert.equal(await ben.page.locator('.badge').count(), 0, 'nothing is unread where one is not in');
    await entry(ben.page, title).click();
    await ben.page.getByText(`You are invited to ${title}.`).waitFor();
    assert.equal(await field(ben.page).count() + await ben.page.locator('.scroller').count(), 0);
    await ben.page.getByRole('button', { name: 'Join', exact: true }).click();
    await seen(ben.page, 'before you came');
    await became(anna.page, `${ben.user} joined the group.`);
    await say(ben.page, 'here I am');
    await seen(anna.page, 'here I am');
    await message(ben.page, 'here I am').getByText('Read by 1').waitFor();

    await entry(carl.page, title).click();
    await carl.page.getByRole('button', { name: 'Decline' }).click();
    await entry(carl.page, title).waitFor({ state: 'detached' });
    await member(anna.page, carl.user).waitFor({ state: 'detached' });
    await anna.page.getByRole('button', { name: '2 members' }).waitFor();
  });

  test('has roles, which say who may do what', async (t) => {
    const title = fresh('choir');
    const [anna, ben, carl] = await Promise.all(['anna', 'ben', 'carl'].map((name) => comes(t, name)));
    await begin(anna.page, title);
    await invite(anna.page, ben.user);
    await entry(ben.page, title).click();
    await ben.page.getByRole('button', { name: 'Join', exact: true }).click();
    await ben.page.getByRole('button', { name: '2 members' }).click();
    await member(ben.page, anna.user).getByText('Owner').waitFor();
    assert.equal(await panel(ben.page).locator('input, .role, .quiet[aria-label^=Remove]').count(), 0);

    await panel(anna.page).getByLabel(`Role of ${ben.user}`).selectOption('admin');
    await became(ben.page, `${anna.user} made ${ben.user} an admin.`);
    await invite(ben.page, carl.user);
    await entry(carl.page, title).click();
    await carl.page.getByRole('button', { name: 'Join', exact: true }).click();
    await member(ben.page, carl.user).getByText('Member', { exact: true }).waitFor();
    assert.equal(await member(ben.page, anna.user).getByRole('button', { name: /Remove/ }).count(), 0);
    await member(ben.page, carl.user).getByRole('button', { name: `Remove ${carl.user} from the group` }).click();
    await entry(carl.page, title).waitFor({ state: 'detached' });
    await carl.page.getByText('Choose a conversation').waitFor();
    await became(anna.page, `${ben.user} removed ${carl.user}.`);

    // The only owner stays while others are members.
    await anna.page.getByRole('button', { name: 'Leave the group' }).click();
    await anna.page.getByText('That did not work (103 permission denied).').waitFor();
    await panel(anna.page).getByLabel(`Role of ${ben.user}`).selectOption('owner');
    await became(ben.page, `${anna.user} made ${ben.user} an owner.`);
    await anna.page.getByRole('button', { name: 'Leave the group' }).click();
    await entry(anna.page, title).waitFor({ state: 'detached' });
    await became(ben.page, `${anna.user} left the group.`);
  });

  test('is muted on all devices, and nothing of it is counted in the title', async (t) => {
    const title = fresh('noise');
    const [anna, ben] = await Promise.all(['anna', 'ben'].map((name) => comes(t, name)));
    const phone = await arrive(t, browser, server, ben.user, { viewport: PHONE });
    await begin(anna.page, title);
    await invite(anna.page, ben.user);
    await entry(ben.page, title).click();
    await ben.page.getByRole('button', { name: 'Join', exact: true }).click();
    await ben.page.getByRole('button', { name: '2 members' }).click();
    await panel(ben.page).getByLabel('Mute').selectOption('For an hour');
    await ben.page.locator('.conversation-head').getByText('Muted').waitFor();
    assert.match(await panel(ben.page).getByLabel('Mute').locator('option:checked').textContent(), /^Until /);
    await entry(phone, title).getByText('Muted').waitFor();

    await entry(ben.page, 'lobby').click();
    await say(anna.page, 'loud');
    for (const page of [ben.page, phone]) {
      await entry(page, title).getByText('1 unread').waitFor();
      await entry(page, title).locator('.badge.is-muted').waitFor();
      assert.doesNotMatch(await page.title(), /^\(/);
    }
    await ben.page.reload();
    await entry(ben.page, title).getByText('Muted').waitFor();
    await entry(ben.page, title).getByText('1 unread').waitFor();
    await entry(ben.page, title).click();
    await seen(ben.page, 'loud');
    await entry(ben.page, title).locator('.badge').waitFor({ state: 'detached' });
    await ben.page.getByRole('button', { name: '2 members' }).click();
    await panel(ben.page).getByLabel('Mute').selectOption('Not muted');
    await entry(phone, title).getByText('Muted').waitFor({ state: 'detached' });
    await ben.page.locator('.conversation-head').getByText('Muted').waitFor({ state: 'detached' });
    assert.equal(await member(anna.page, ben.user).getByText(/mute/i).count(), 0, 'it is for nobody else');
  });

  test('that was left while its member was away is not there any more', async (t) => {
    const title = fresh('old');
    const mayMeet = /ERR_INTERNET_DISCONNECTED|WebSocket connection/;
    const anna = await comes(t, 'anna');
    const ben = await comes(t, 'ben', { mayMeet });
    await begin(anna.page, title);
    await invite(anna.page, ben.user);
    await entry(ben.page, title).click();
    await ben.page.getByRole('button', { name: 'Join', exact: true }).click();
    await ben.page.locator('.scroller').waitFor();
    await ben.page.context().setOffline(true);
    await ben.page.locator('.banner[data-state=offline]').waitFor();
    await member(anna.page, ben.user).getByRole('button', { name: /^Remove/ }).click();
    await member(anna.page, ben.user).waitFor({ state: 'detached' });
    await ben.page.context().setOffline(false);
    await entry(ben.page, title).waitFor({ state: 'detached' });
  });

  test('takes what waited over a reload, once its user is known to be a member again', async (t) => {
    const title = fresh('late');
    const anna = await comes(t, 'anna', { mayMeet: /WebSocket connection|ERR_INTERNET_DISCONNECTED/ });
    await begin(anna.page, title);
    let mayPass = false;
    await anna.page.routeWebSocket(/connection/, (socket) => {
      if (mayPass) socket.connectToServer();
      else socket.close();
    });
    await anna.page.context().setOffline(true);
    await anna.page.locator('.banner[data-state=offline]').waitFor();
    await say(anna.page, 'before the reload');
    await anna.page.locator('.is-unsent[data-state=waiting]').waitFor();
    await anna.page.context().setOffline(false);
    await anna.page.reload();
    mayPass = true;
    await entry(anna.page, title).waitFor();
    await seen(anna.page, 'before the reload');
    await anna.page.locator('.is-unsent').waitFor({ state: 'detached' });
    assert.equal(await message(anna.page, 'before the reload').count(), 1);
  });

  for (const [language, locale] of [['English', 'en-GB'], ['Chinese', 'zh-CN']]) {
    for (const [width, viewport, colorScheme] of [['desk', DESK, 'light'], ['phone', PHONE, 'dark']]) {
      test(`in ${language} at a ${width}: nothing is cut off, and axe finds nothing serious`, async (t) => {
        const is = (en, zh) => (language === 'English' ? en : zh);
        const options = { locale, viewport, colorScheme };
        const title = fresh('a-group-with-a-name-that-is-longer-than-any-list-is-wide');
        const anna = await comes(t, 'anna-with-a-long-name', options);
        const ben = await comes(t, 'ben-with-a-name-that-is-long', options);
        await begin(anna.page, title);
        await invite(anna.page, ben.user);
        await panel(anna.page).getByLabel(is('Mute', '免打扰')).selectOption(is('For good', '一直'));
        await anna.page.locator('.conversation-head .muted-mark').waitFor();
        await fits(anna.page, 'the members');
        await entry(ben.page, title).click();
        await ben.page.getByRole('button', { name: is('Decline', '谢绝') }).waitFor();
        await fits(ben.page, 'an invitation');
        await ben.page.getByRole('button', { name: is('Join', '加入'), exact: true }).click();
        await ben.page.locator('.became').first().waitFor();
        await fits(ben.page, 'a group');
      });
    }
  }
});
