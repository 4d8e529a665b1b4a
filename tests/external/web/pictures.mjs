// Draws the pictures of the web chat and the console in docs/pictures: at a desk's and a phone's
// width, in both languages, from a server on which people talked.

import path from 'node:path';

import {
  DESK, PHONE, arrive, choose, field, launch, operate, say, seen, startChat, startConsole, withoutPage,
} from './browser.mjs';
import { TOP, subscribed } from '../sdk/node/harness.mjs';

const TALKS = {
  en: {
    locale: 'en-GB', names: ['anna', 'ben'], room: 'lobby',
    lines: ['Good morning! Did the build go through?', 'Green, all of it.', 'Lovely. Lunch at twelve?',
      'The new place has dumplings. I shall take the long table by the window, so that the others find us when the meeting is over.'],
    direct: ['Could you look at my patch?', 'Already on it.', 'Thank you!'], typed: 'See you th',
    group: 'Sunday hike', people: ['dora', 'emil', 'ben', 'fay'],
    plans: ['Ten o’clock at the station?', 'Make it half past nine: the path is long.', 'Half past nine, then.'],
  },
  zh: {
    locale: 'zh-CN', names: ['小红', '小明'], room: '大厅',
    lines: ['早上好！构建通过了吗？', '全部通过了。', '太好了。十二点一起吃午饭？',
      '新开的那家有饺子。我先去占窗边的长桌，会议结束后大家过来就能找到我们。'],
    direct: ['能帮我看一下补丁吗？', '已经在看了。', '谢谢！'], typed: '一会儿在那边见吧',
    group: '周日徒步', people: ['小李', '阿梅', '小明', '小周'],
    plans: ['十点在车站见？', '九点半吧，路比较远。', '好，那就九点半。'],
  },
};

const cleanups = [];
const t = { after: (act) => cleanups.unshift(act) };
const [server, watched, browser] = await Promise.all([startChat(), startConsole(), launch()]);
try {
  await drawConsole();
  for (const [language, talk] of Object.entries(TALKS)) {
    await draw(language, talk);
    await drawGroup(language, talk);
  }
} finally {
  for (const act of cleanups) await act();
  await browser.close();
  await server.stop();
  await watched.stop();
}

// Forty people in some rooms, of whom two talk until the charts have a minute.
async function drawConsole() {
  const people = [];
  for (let number = 0; number < 40; number += 1) {
    const one = await withoutPage(t, watched, `user-${number}`);
    people.push(one);
    for (const room of ['lobby', 'kitchen', 'garden'].slice(number % 3)) await subscribed(one, `room:${room}`);
  }
  const desk = await operate(t, browser, watched, { viewport: DESK });
  const phone = await operate(t, browser, watched, {
    viewport: PHONE, locale: 'zh-CN', colorScheme: 'dark', scale: 1.5,
  });
  const until = Date.now() + 60_000;
  while (Date.now() < until) {
    for (const [at, room] of ['lobby', 'garden'].entries()) {
      await people[at].rpc('chat.publish', { channel: `room:${room}`, data: { text: 'x' } });
    }
  }
  await shoot(desk, 'console-desk-en');
  await shoot(phone, 'console-phone-zh');
}

async function draw(language, { locale, names: [first, second], room, lines, direct, typed }) {
  const anna = await arrive(t, browser, server, first, { locale, room, viewport: DESK, scale: 1 });
  const ben = await arrive(t, browser, server, second, { locale, room, viewport: PHONE, scale: 1.5, colorScheme: 'dark' });
  for (const [at, line] of lines.entries()) {
    await say(at % 2 === 0 ? anna : ben, line);
    for (const page of [anna, ben]) await seen(page, line);
  }
  const is = (en, zh) => (language === 'en' ? en : zh);
  await choose(anna, lines[1], is('React with 🎉', '用 🎉 回应'));
  await choose(ben, lines[2], is('React with 👍', '用 👍 回应'));
  await ben.locator('.reaction').nth(1).waitFor();
  await anna.locator('.conversation-head').getByText(is('2 here', '2 人在线')).click();
  await anna.locator('.person', { hasText: second }).waitFor();
  await anna.locator('.receipt').first().waitFor();
  await field(ben).pressSequentially(typed, { delay: 300 });
  await anna.locator('.typing', { hasText: second }).waitFor();
  await shoot(anna, `web-chat-desk-${language}`);
  await shoot(ben, `web-chat-phone-${language}`);

  await anna.locator('.person', { hasText: second }).click();
  await say(anna, direct[0]);
  await seen(anna, direct[0]);
  await ben.getByRole('button', { name: is('All conversations', '所有会话') }).click();
  await ben.locator('.badge').waitFor();
  await shoot(ben, `web-chat-phone-list-${language}`);
  await ben.locator('.entry', { hasText: first }).last().click();
  await say(ben, direct[1]);
  await say(anna, direct[2]);
  await seen(ben, direct[2]);
  await anna.emulateMedia({ colorScheme: 'dark' });
  await anna.locator('.receipt', { hasText: is('Read', '已读') }).last().waitFor();
  await shoot(anna, `web-chat-direct-${language}`);
}

// A group of five, one of whom was only invited, and one has muted it.
async function drawGroup(language, { locale, group, people, plans }) {
  const is = (en, zh) => (language === 'en' ? en : zh);
  const [first, ...others] = people;
  const desk = await arrive(t, browser, server, first, { locale, viewport: DESK });
  await desk.getByRole('button', { name: is('Begin a group', '新建群组') }).click();
  await desk.keyboard.type(group);
  await desk.keyboard.press('Enter');
  await desk.getByRole('button', { name: is('1 member', '1 名成员') }).click();
  const members = desk.getByRole('complementary', { name: is('Members', '成员') });
  for (const user of others) {
    await members.getByLabel(is('Invite a person by name', '按名字邀请')).fill(user);
    await desk.keyboard.press('Enter');
    await members.locator('.member', { hasText: user }).waitFor();
  }
  const pages = [];
  for (const [at, user] of others.slice(0, 2).entries()) {
    const options = at === 0 ? { viewport: PHONE, scale: 1.5, colorScheme: 'dark' } : { viewport: DESK };
    const page = await arrive(t, browser, server, user, { locale, ...options });
    await page.locator('.entry', { hasText: group }).click();
    await page.getByRole('button', { name: is('Join', '加入'), exact: true }).click();
    await field(page).waitFor();
    pages.push(page);
  }
  const [phone, other] = pages;
  await members.getByLabel(is(`Role of ${others[0]}`, `${others[0]} 的角色`)).selectOption('admin');
  for (const [at, line] of plans.entries()) {
    await say([desk, phone, other][at], line);
    await seen(phone, line);
  }
  await shoot(desk, `web-chat-group-${language}`);
  await phone.locator('.conversation-head').getByText(is('3 members', '3 名成员')).click();
  await phone.getByLabel(is('Mute', '免打扰')).selectOption(is('For good', '一直'));
  await phone.locator('.conversation-head .muted-mark').waitFor();
  await shoot(phone, `web-chat-group-phone-${language}`);
}

async function shoot(page, name) {
  await page.mouse.move(0, 0);
  await page.screenshot({ path: path.join(TOP, 'docs/pictures', `${name}.png`) });
}
