// Names of conversations, unread counts, marks, typing, members, and which rows are drawn.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  Conversation, Members, Roster, conversationOf, directChannel, groupChannel, isPeer, mayKick, rowsInView, topOf,
  type Publication, type Role,
} from '../src/index.js';

const said = (offset: number, user: string, tags: Record<string, string> = {}): Publication =>
  ({ offset, data: { text: `${offset}` }, info: { user }, tags });
const PAGE = { hasMore: false, mark: 0, now: 0 };

describe('a conversation', () => {
  test('of two is named in the order of bytes', () => {
    assert.equal(directChannel('ben', 'anna'), 'dm#anna,ben');
    assert.equal(directChannel('anna', 'ben'), 'dm#anna,ben');
    // U+FF5A stands before U+1F600 in bytes, and behind it in UTF-16.
    assert.equal(directChannel('😀', 'ｚ'), 'dm#ｚ,😀');
    assert.equal(directChannel('a', 'ab'), 'dm#a,ab');
  });

  test('is found by its channel', () => {
    assert.deepEqual(
      ['room:x', 'dm#anna,ben', 'dm#carl,dora', 'room:', '@anna', 'dm#anna'].map((channel) =>
        conversationOf(channel, 'anna')?.title ?? null),
      ['x', 'ben', null, null, null, null]);
    assert.deepEqual(['ben', 'anna', '', 'a,b', 'a#b', 'a\n'].map((name) => isPeer(name, 'anna')),
      [true, false, false, false, false, false]);
  });

  test('of a group has a title that others may have, too', () => {
    const titleOf = (channel: string) => conversationOf(channel, 'anna')?.title;
    const channel = groupChannel('hiking ~ and more', '00ffaa12');
    assert.equal(channel, 'group:hiking ~ and more~00ffaa12');
    assert.equal(titleOf(channel), 'hiking ~ and more');
    assert.deepEqual(['group:plain', 'group:~00ffaa12', 'group:x~00FFAA12', 'group:'].map(titleOf),
      ['plain', '~00ffaa12', 'x~00FFAA12', undefined]);
    assert.equal(conversationOf(channel, 'anna')?.kind, 'group');
  });

  test('of a group counts nothing that says who is a member, and knows its members by that', () => {
    const group = new Conversation('group:x', 'group', 'x', 'anna');
    const becomes = (offset: number, user: string, role: string) =>
      said(offset, 'ben', { group_member: user, group_role: role });
    group.timeline.page('newest', [becomes(1, 'ben', 'owner'), said(2, 'ben')], { ...PAGE, top: 2 });
    group.roster.set([{ user: 'ben', role: 'owner' }, { user: 'anna', role: 'member' }]);
    group.countUnread();
    assert.equal(group.unread, 1);
    group.live(becomes(3, 'carl', 'invited'), 3, 0);
    group.live(becomes(4, 'anna', 'admin'), 4, 0);
    group.live(becomes(4, 'anna', 'member'), 4, 0);
    assert.equal(group.unread, 1);
    assert.deepEqual(group.roster.members.map(({ user, role }) => `${user} ${role}`),
      ['anna admin', 'ben owner', 'carl invited']);
    assert.equal(group.roster.count, 2);
    group.live(becomes(5, 'carl', 'none'), 5, 0);
    assert.equal(group.roster.members.length, 2);
    const [change] = group.timeline.messages;
    assert.deepEqual([change?.member, change?.text], [{ user: 'ben', role: 'owner' }, '']);
    group.mutedUntil = 10;
    assert.deepEqual([group.isMuted(9), group.isMuted(10)], [true, false]);
  });

  test('a role allows what stands below it', () => {
    const roles: (Role | 'none')[] = ['none', 'invited', 'member', 'admin', 'owner'];
    const others = roles.slice(1) as Role[];
    const allowed = roles.map((role) => others.filter((other) => mayKick(role, other)).join(' '));
    assert.deepEqual(allowed, ['', '', '', 'invited member', 'invited member admin']);
    const roster = new Roster();
    roster.change({ user: 'ben', role: 'none' });
    assert.deepEqual([roster.isLoaded, roster.members], [false, []]);
  });

  test('counts what others said and this user did not read', () => {
    const room = new Conversation('room:x', 'room', 'x', 'anna');
    room.readTo = 1;
    room.timeline.page('newest', [said(1, 'ben'), said(2, 'ben'), said(3, 'anna')], { ...PAGE, top: 3 });
    room.countUnread();
    assert.equal(room.unread, 1);
    room.live(said(4, 'ben'), 4, 0);
    room.live(said(4, 'ben'), 4, 0);
    room.live({ ...said(5, 'ben'), tags: { edits: '4' } }, 5, 0);
    room.live(said(6, 'anna'), 6, 0);
    assert.equal(room.unread, 2);
    assert.equal(room.readUpTo(6), true);
    assert.equal(room.readUpTo(6), false);
    assert.deepEqual([room.unread, room.readTo], [0, 6]);
  });

  test('counts also what comes before anything is loaded', () => {
    const direct = new Conversation('dm#anna,ben', 'direct', 'ben', 'anna');
    direct.live(said(1, 'ben'), 1, 0);
    direct.live(said(1, 'ben'), 1, 0);
    assert.deepEqual([direct.unread, direct.last?.text], [1, '1'], 'a repeat counts once');
  });

  test('knows who read how far; marks never go back', () => {
    const room = new Conversation('room:x', 'room', 'x', 'anna');
    room.mark('ben', { delivered: 3, read: 2 });
    room.mark('ben', { delivered: 2, read: 1 });
    room.mark('carl', { delivered: 1, read: 0 });
    room.mark('anna', { delivered: 5, read: 5 });
    assert.deepEqual([1, 2, 3, 4].map((offset) => Object.values(room.receiptsOf(offset)).join('/')),
      ['2/1', '1/1', '1/0', '0/0']);
    assert.equal(room.readTo, 5);
  });

  test('of another stream begins anew', () => {
    const room = new Conversation('room:x', 'room', 'x', 'anna');
    room.mark('ben', { delivered: 3, read: 2 });
    room.live(said(9, 'ben'), 9, 0);
    room.readUpTo(9);
    room.beginAnew();
    room.live(said(1, 'ben'), 1, 0);
    assert.deepEqual([room.unread, room.last?.offset, room.receiptsOf(1)], [1, 1, { delivered: 0, read: 0 }]);
  });

  test('somebody types for a while, or until the message comes', () => {
    const room = new Conversation('room:x', 'room', 'x', 'anna');
    const forMs = room.types('ben', 100);
    room.types('anna', 100);
    assert.deepEqual([room.typing(99 + forMs), room.typing(100 + forMs)], [['ben'], []]);
    room.types('ben', 100);
    room.live(said(1, 'ben'), 1, 100);
    assert.deepEqual(room.typing(101), []);
  });
});

describe('members', () => {
  test('are people, on however many devices', () => {
    const members = new Members();
    const one = (client: string, user: string) => ({ client, user, name: '' });
    members.set([one('1', 'ben'), one('2', 'anna'), one('3', 'ben')]);
    members.join(one('4', 'carl'));
    members.leave('1');
    assert.deepEqual(members.people.map(({ user }) => user), ['anna', 'ben', 'carl']);
    members.leave('3');
    members.leave('3');
    assert.equal(members.count, 2);
    members.setCount(5000);
    assert.deepEqual([members.count, members.people.length], [5000, 0]);
  });
});

describe('rows in view', () => {
  test('are those in sight and some beside them, and all heights add up', () => {
    const heights = Array.from({ length: 1000 }, (_, index) => 20 + (index % 7) * 10);
    const heightOf = (index: number) => (index % 3 === 0 ? undefined : heights[index]);
    const guess = 40;
    const total = topOf(heights.length, heightOf, guess);
    for (let scrollTop = 0; scrollTop < total; scrollTop += 997) {
      const range = rowsInView({ count: 1000, heightOf, guess, scrollTop, height: 500, margin: 200 });
      const drawn = topOf(range.to, heightOf, guess) - topOf(range.from, heightOf, guess);
      assert.equal(range.above + drawn + range.below, total, `${scrollTop}`);
      assert.ok(range.above <= Math.max(0, scrollTop - 200));
      assert.ok(range.to === 1000 || range.above + drawn >= scrollTop + 700);
      assert.ok(range.to - range.from < 60);
    }
  });

  test('there are none of none, and one where a list became shorter', () => {
    const options = { heightOf: () => 10, guess: 10, scrollTop: 5000, height: 100, margin: 0 };
    assert.deepEqual(rowsInView({ ...options, count: 0 }), { from: 0, to: 0, above: 0, below: 0 });
    assert.deepEqual(rowsInView({ ...options, count: 3 }), { from: 2, to: 3, above: 20, below: 0 });
  });
});
