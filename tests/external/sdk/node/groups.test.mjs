// Groups: members that outlive their connections and the server, and alone are in.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, SERVER_GONE, arrivalIn, chatIn, connected, freshChannel, freshUser, refusal,
  startServer, subscribed, subscriptionEvents, token, within,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;
  const chat = chatIn(encoding);
  const arrives = arrivalIn(encoding);
  const code = async (promise) => (await refusal(promise)).code;
  const roster = async (client, channel) => {
    const { members } = await chat(client, 'roster', { channel });
    return members.map(({ user, role }) => [user, role]);
  };
  const roomsOf = async (client) => (await chat(client, 'rooms', {})).rooms;

  describe(`groups, ${encoding.name}`, () => {
    test('an answered join outlives the server, and what is said waits for who is away', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const channel = freshChannel('group');
      const mayMeet = SERVER_GONE;
      const anna = await connected(t, encoding, own.url, 'anna', { mayMeet });
      const ben = await connected(t, encoding, own.url, 'ben', { mayMeet });
      assert.deepEqual(await chat(anna, 'join', { channel }), {});
      assert.deepEqual(await chat(ben, 'join', { channel }), {});
      await own.kill();
      await own.startAgain();
      await within(anna.ready(), 'anna to be back');
      const both = [['anna', 'owner'], ['ben', 'member']];
      assert.deepEqual(await roster(anna, channel), both);
      await subscribed(anna, channel);
      await chat(anna, 'publish', { channel, data: { number: 1 } });
      await within(ben.ready(), 'ben to be back');
      const [room] = await roomsOf(ben);
      assert.deepEqual([room.channel, room.role, room.unread], [channel, 'member', 1]);
      assert.deepEqual(room.last.data, { number: 1 });
      const his = await subscribed(ben, channel);
      const past = await his.history({ limit: 100 });
      assert.deepEqual(past.publications.map(({ tags }) => tags.group_member),
        ['anna', 'ben', undefined]);
      await chat(ben, 'read', { channel, offset: room.head });
      assert.equal((await roomsOf(ben))[0].unread, 0);
    });

    test('a mute is heard by the other devices of its user alone, and ends with the membership', async (t) => {
      const channel = freshChannel('group');
      const [owner, member] = ['anna', 'ben'].map(freshUser);
      const anna = await arrives(t, server.url, owner);
      const ben = await connected(t, encoding, server.url, member);
      const tablet = await arrives(t, server.url, member);
      for (const client of [anna.client, ben]) await chat(client, 'join', { channel });
      const mutedIn = async (client) => (await roomsOf(client))[0].muted_until;
      const hears = async (events, until) => {
        const { data } = await events.first('message', ({ data: one }) => {
          const { muted } = unpack(one);
          return muted !== undefined && (until === 0) === (muted.until === 0);
        });
        return unpack(data).muted;
      };
      const before = Date.now();
      assert.deepEqual(await chat(ben, 'mute', { channel, mute_s: 60 }), {});
      const heard = await hears(tablet.events, 1);
      assert.equal(heard.channel, channel);
      assert.ok(before + 50_000 < heard.until && heard.until < before + 120_000, `${heard.until}`);
      assert.equal(await mutedIn(tablet.client), heard.until);
      assert.equal(await mutedIn(anna.client), undefined);
      const shownTo = async (client) => {
        const { members } = await chat(client, 'roster', { channel });
        return members.map(({ muted_until: until }) => until);
      };
      assert.deepEqual(await shownTo(ben), [undefined, heard.until]);
      assert.deepEqual(await shownTo(anna.client), [undefined, undefined]);
      await chat(ben, 'mute', { channel, mute_s: 0 });
      assert.deepEqual(await hears(tablet.events, 0), { channel, until: 0 });
      assert.equal(await mutedIn(ben), undefined);
      await chat(ben, 'mute', { channel });
      await chat(ben, 'leave', { channel });
      await chat(ben, 'join', { channel });
      assert.equal(await mutedIn(ben), undefined);
      assert.equal(await code(chat(anna.client, 'mute', { channel, mute_s: 'long' })), 107);
    });

    test('who is invited hears of it, sees nothing before it joins, and is in then', async (t) => {
      const channel = freshChannel('club');
      const [owner, guest] = ['anna', 'ben'].map(freshUser);
      const anna = await connected(t, encoding, server.url, owner);
      const ben = await arrives(t, server.url, guest);
      await chat(anna, 'join', { channel });
      const hers = await subscribed(anna, channel);
      await hers.publish(pack({ number: 1 }));
      const rights = { sub: guest, caps: [{ channels: [channel], allow: ['pub', 'hst', 'mod'] }] };
      const other = await connected(t, encoding, server.url, '', { token: token(rights) });
      for (const [method, fields] of [
        ['join', {}], ['publish', { data: 1 }], ['read', { offset: 1 }], ['roster', {}],
        ['kick', { member: owner }], ['invite', { member: 'eve' }],
      ]) {
        assert.equal(await code(chat(other, method, { channel, ...fields })), 103, method);
      }
      await chat(anna, 'invite', { channel, member: guest });
      const heard = await ben.events.first('message', ({ data }) => unpack(data).group);
      assert.deepEqual(unpack(heard.data).group,
        { channel, user: guest, role: 'invited', by: owner });
      const [invitation] = await roomsOf(ben.client);
      assert.deepEqual([invitation.channel, invitation.role], [channel, 'invited']);
      assert.equal(invitation.last, undefined);
      const early = ben.client.newSubscription(channel);
      early.on('error', () => {});
      early.subscribe();
      assert.equal((await subscriptionEvents(early).first('unsubscribed')).code, 103);
      ben.client.removeSubscription(early);
      await chat(ben.client, 'join', { channel });
      const his = await subscribed(ben.client, channel);
      const events = subscriptionEvents(hers);
      await his.publish(pack({ number: 2 }));
      const said = await events.first('publication', ({ data }) => unpack(data).number === 2);
      assert.equal(said.info.user, guest);
    });

    test('who is sent away is out at once, and a role says who may', async (t) => {
      const channel = freshChannel('group');
      const names = ['anna', 'ben', 'cat'].map(freshUser);
      const clients = [];
      for (const name of names) {
        const client = await connected(t, encoding, server.url, name);
        await chat(client, 'join', { channel });
        const subscription = await subscribed(client, channel);
        clients.push({ client, subscription, events: subscriptionEvents(subscription) });
      }
      const [first, second, third] = clients;
      assert.equal(await code(chat(second.client, 'kick', { channel, member: names[2] })), 103);
      await chat(first.client, 'set_role', { channel, member: names[1], role: 'admin' });
      await chat(second.client, 'kick', { channel, member: names[2] });
      const { code: why } = await third.events.first('unsubscribed');
      assert.equal(why, 2000);
      assert.equal(await code(chat(third.client, 'publish', { channel, data: 1 })), 103);
      assert.deepEqual(await roomsOf(third.client), []);
      assert.equal(await code(chat(first.client, 'leave', { channel })), 103, 'it needs an owner');
      await chat(first.client, 'set_role', { channel, member: names[1], role: 'owner' });
      await chat(first.client, 'leave', { channel });
      await first.events.first('unsubscribed');
      assert.deepEqual(await roster(second.client, channel), [[names[1], 'owner']]);
    });

    test('other channels are no groups, and wrong fields are named', async (t) => {
      const anna = await connected(t, encoding, server.url, 'anna');
      for (const method of ['join', 'leave', 'roster']) {
        assert.equal(await code(chat(anna, method, { channel: freshChannel('kept') })), 108);
      }
      const channel = freshChannel('group');
      const wrong = await refusal(chat(anna, 'set_role', { channel, member: 'ben', role: 'king' }));
      assert.deepEqual([wrong.code, wrong.message], [107, 'bad request: role']);
    });
  });
}
