// What survives: the server's end, a reader's absence, a second device.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, SERVER_GONE, arrivalIn, chatIn, connected, freshChannel, freshUser, refusal,
  startProxy, startServer, subscribed, subscriptionEvents, token, within,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

const numbersTo = (count) => Array.from({ length: count }, (_, index) => index + 1);
const pair = (...users) => `dm#${users.sort().join(',')}`;

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;
  const numbers = (publications) => publications.map(({ data }) => unpack(data).number);
  const chat = chatIn(encoding);
  const arrives = arrivalIn(encoding);
  const inboxOf = (user) => ({ channel }) => channel === `@${user}`;
  // What was said to the user, with its place, in the order of arrival.
  const direct = (publication) => ({
    number: unpack(publication.data).number,
    from: publication.info.user,
    channel: publication.tags.channel,
    offset: Number(publication.tags.offset),
    id: publication.tags.id,
  });
  // Which messages came. A message may come twice until it is acknowledged: a
  // reader tells by its place.
  const told = (events) => {
    const places = new Map(events.of('publication').map((one) => [JSON.stringify(direct(one)), one]));
    return numbers([...places.values()]);
  };
  // The notices of this kind.
  const notices = (events, kind) =>
    events.of('message').map(({ data }) => unpack(data)[kind]).filter(Boolean);
  const notice = async (events, kind, test = () => true) => {
    const is = ({ data }) => unpack(data)[kind] && test(unpack(data)[kind]);
    return unpack((await events.first('message', is)).data)[kind];
  };

  describe(`centrifuge, ${encoding.name}, on disk`, () => {
    test('who was away while the server was killed misses nothing, in order, once', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const proxy = await startProxy(own.port);
      t.after(() => proxy.stop());
      const mayMeet = SERVER_GONE;
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, proxy.url, 'anna', { mayMeet });
      const events = subscriptionEvents(await subscribed(anna, channel, { recoverable: true }));
      const ben = await connected(t, encoding, own.url, 'ben', { mayMeet });
      const his = await subscribed(ben, channel);
      for (let number = 1; number <= 3; number++) await his.publish(pack({ number }));
      const { epoch } = await his.history();
      await events.atLeast(3, 'publication');

      proxy.stopReading();
      proxy.cut();
      for (let number = 4; number <= 10; number++) await his.publish(pack({ number }));
      await own.kill();
      await own.startAgain();
      for (let number = 11; number <= 15; number++) await his.publish(pack({ number }));
      proxy.readAgain();

      const again = await events.first('subscribed', ({ wasRecovering }) => wasRecovering);
      assert.ok(again.recovered);
      assert.equal(again.streamPosition.epoch, epoch);
      await his.publish(pack({ number: 16 }));
      const seen = await events.atLeast(16, 'publication');
      assert.deepEqual(numbers(seen), numbersTo(16));
      assert.deepEqual(seen.map(({ offset }) => offset), numbersTo(16));

      // Who never was there reads the same, from the start and from the end.
      const carl = await connected(t, encoding, own.url, 'carl');
      const room = await subscribed(carl, channel);
      assert.deepEqual(numbers((await room.history({ limit: 100 })).publications), numbersTo(16));
      const newest = await room.history({ limit: 5, reverse: true });
      assert.deepEqual(numbers(newest.publications), [16, 15, 14, 13, 12]);
      const since = { offset: 2, epoch };
      assert.deepEqual(numbers((await room.history({ limit: 2, since })).publications), [3, 4]);
      assert.equal(events.of('publication').length, 16);
    });

    test('a direct message waits for its reader, and for the next server', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const mayMeet = SERVER_GONE;
      const { client: anna } = await arrives(t, own.url, 'anna', {
        mayMeet,
        token: token({ sub: 'anna', info: { name: 'Anna' } }),
      });
      const channel = 'dm#anna,ben';
      const sent = [];
      for (const number of [1, 2, 3]) {
        sent.push(await chat(anna, 'send', { to: 'ben', data: { number }, id: `n-${number}` }));
      }
      assert.deepEqual(sent.map((answer) => [answer.channel, answer.offset, answer.id]),
        [[channel, 1, 'n-1'], [channel, 2, 'n-2'], [channel, 3, 'n-3']]);
      await own.kill();
      await own.startAgain();

      const ben = await arrives(t, own.url, 'ben');
      const seen = await ben.events.atLeast(3, 'publication', inboxOf('ben'));
      assert.deepEqual(seen.map(direct), [1, 2, 3].map((number) => (
        { number, from: 'anna', channel, offset: number, id: `n-${number}` })));
      assert.deepEqual(unpack(seen[0].info.connInfo), { name: 'Anna' });
      assert.ok(seen.every(({ offset }) => !offset), 'its place is that in the conversation');

      // What is acknowledged does not come again, not even to the next server.
      await chat(ben.client, 'ack', { channel, offset: 2 });
      ben.client.disconnect();
      await own.kill();
      await own.startAgain();
      const later = await arrives(t, own.url, 'ben');
      await within(anna.ready(), 'anna to be back');
      await chat(anna, 'send', { to: 'ben', data: { number: 4 } });
      await later.events.first('publication', (one) => unpack(one.data).number === 4);
      assert.deepEqual(told(later.events), [3, 4]);
      await chat(later.client, 'ack', { channel, offset: 4 });
      later.client.disconnect();

      const last = await arrives(t, own.url, 'ben');
      await chat(anna, 'send', { to: 'ben', data: { number: 5 } });
      await last.events.first('publication', (one) => unpack(one.data).number === 5);
      assert.deepEqual(told(last.events), [5]);
    });

    test('what a connected reader does not acknowledge comes again', async (t) => {
      const own = await startServer({ ackWaitMs: 1_000 });
      t.after(() => own.stop());
      const ben = await arrives(t, own.url, 'ben');
      const { client: anna } = await arrives(t, own.url, 'anna');
      await chat(anna, 'send', { to: 'ben', data: { number: 1 } });
      const twice = await ben.events.atLeast(2, 'publication');
      assert.deepEqual(direct(twice[0]), direct(twice[1]));
    });

    test('two devices of a reader have it, and the other device of its author', async (t) => {
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const { client: hers } = await arrives(t, server.url, anna);
      const other = await arrives(t, server.url, anna);
      const his = [await arrives(t, server.url, ben), await arrives(t, server.url, ben)];
      const { id, offset, channel } = await chat(hers, 'send', { to: ben, data: { number: 1 } });
      const expected = { number: 1, from: anna, channel, offset, id };
      assert.equal(channel, pair(anna, ben));
      for (const { events } of his) {
        assert.deepEqual(direct(await events.first('publication', inboxOf(ben))), expected);
      }
      const copy = await other.events.first('publication', inboxOf(anna));
      assert.deepEqual(direct(copy), expected);

      // One device acknowledges for both, and a copy needs none.
      await chat(his[0].client, 'ack', { channel, offset });
      for (const one of [other, ...his]) one.client.disconnect();
      const again = [await arrives(t, server.url, ben), await arrives(t, server.url, anna)];
      await chat(hers, 'send', { to: ben, data: { number: 2 } });
      for (const { events } of again) {
        await events.first('publication', (one) => unpack(one.data).number === 2);
        assert.deepEqual(told(events), [2]);
      }
    });

    test('the same id again is the same message, whatever happened between', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const mayMeet = SERVER_GONE;
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, own.url, 'anna', { mayMeet });
      const room = await subscribed(anna, channel, { recoverable: true });
      const events = subscriptionEvents(room);
      const said = { channel, data: { number: 1 }, id: 'one' };
      const first = await chat(anna, 'publish', said);
      assert.equal(first.offset, 1);
      assert.deepEqual(await chat(anna, 'publish', said), first);
      const sent = await chat(anna, 'send', { to: 'ben', data: { number: 1 }, id: 'one' });

      await own.kill();
      await own.startAgain();
      await within(room.ready(), 'anna to be back');
      assert.deepEqual(await chat(anna, 'publish', said), first);
      const second = { to: 'ben', data: { number: 1 }, id: 'one' };
      assert.deepEqual(await chat(anna, 'send', second), sent);
      // The other author's id is another one.
      const ben = await connected(t, encoding, own.url, 'ben');
      const his = await subscribed(ben, channel);
      const other = await chat(ben, 'publish', { channel, data: { number: 2 }, id: 'one' });
      assert.equal(other.offset, 2);
      await events.first('publication', ({ offset }) => offset === 2);
      assert.deepEqual(numbers(events.of('publication')), [1, 2]);
      assert.deepEqual(numbers((await his.history({ limit: 100 })).publications), [1, 2]);
      const { rooms } = await chat(ben, 'rooms', {});
      assert.deepEqual(rooms.map(({ head }) => head), [1]);
    });

    test('receipts are told to the other one, and kept', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const mayMeet = SERVER_GONE;
      const { client: anna, events } = await arrives(t, own.url, 'anna', { mayMeet });
      const { client: ben, events: his } = await arrives(t, own.url, 'ben', { mayMeet });
      for (const number of [1, 2]) await chat(anna, 'send', { to: 'ben', data: { number } });
      const channel = 'dm#anna,ben';
      await his.atLeast(2, 'publication');
      await chat(ben, 'ack', { channel, offset: 2 });
      await chat(ben, 'read', { channel, offset: 1 });
      const read = await notice(events, 'receipt', (receipt) => receipt.read === 1);
      assert.deepEqual(read, { channel, user: 'ben', delivered: 2, read: 1 });
      assert.deepEqual(notices(events, 'receipt')[0],
        { channel, user: 'ben', delivered: 2, read: 0 });
      assert.deepEqual(notices(his, 'receipt'), [], 'not to who sent it');

      await own.kill();
      await own.startAgain();
      await within(anna.ready(), 'anna to be back');
      const { receipts } = await chat(anna, 'receipts', { channel });
      // What anna said herself she has read.
      assert.deepEqual(receipts, [
        { user: 'anna', delivered: 2, read: 2 },
        { user: 'ben', delivered: 2, read: 1 },
      ]);
    });

    test('what is taken back is gone for everybody, and says so', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const mayMeet = SERVER_GONE;
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, own.url, 'anna', { mayMeet });
      const ben = await arrives(t, own.url, 'ben', { mayMeet });
      await subscribed(anna, channel);
      const his = await subscribed(ben.client, channel);
      for (const number of [1, 2, 3, 4]) {
        await chat(anna, 'publish', { channel, data: { number }, id: `n-${number}` });
      }
      // The first is on disk alone, the last in memory, too.
      for (const offset of [1, 4]) {
        assert.deepEqual(await chat(anna, 'retract', { channel, offset }), {});
        const heard = await notice(ben.events, 'retracted', (one) => one.offset === offset);
        assert.deepEqual(heard, { channel, offset, user: 'anna' });
      }
      const what = async () => (await his.history({ limit: 100 })).publications.map(
        ({ offset, data, info, tags }) =>
          [offset, unpack(data), info.user, tags.retracts ?? tags.id]);
      const left = [
        [1, { retracted: true }, 'anna', 'n-1'], [2, { number: 2 }, 'anna', 'n-2'],
        [3, { number: 3 }, 'anna', 'n-3'], [4, { retracted: true }, 'anna', 'n-4'],
        [5, { retracted: 1 }, 'anna', '1'], [6, { retracted: 4 }, 'anna', '4'],
      ];
      assert.deepEqual(await what(), left);
      const others = await refusal(chat(ben.client, 'retract', { channel, offset: 2 }));
      assert.equal(others.code, 103);

      await own.kill();
      await own.startAgain();
      await within(his.ready(), 'ben to be back');
      assert.deepEqual(await what(), left);
      const mod = await connected(t, encoding, own.url, 'mia', {
        token: token({ sub: 'mia', caps: [{ channels: [channel], allow: ['mod'] }] }),
      });
      await chat(mod, 'retract', { channel, offset: 2 });
      await notice(ben.events, 'retracted', (one) => one.user === 'mia');
    });

    test('a direct message that was taken back reaches its reader without content', async (t) => {
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const hers = await arrives(t, server.url, anna);
      const { channel } = await chat(hers.client, 'send', { to: ben, data: { number: 1 } });
      await chat(hers.client, 'retract', { channel, offset: 1 });
      const heard = await notice(hers.events, 'retracted');
      assert.deepEqual(heard, { channel, offset: 1, user: anna });
      const his = await arrives(t, server.url, ben);
      const { data } = await his.events.first('publication');
      assert.deepEqual(unpack(data), { retracted: true });
      const { tags } = await his.events.first('publication', (one) => one.tags.retracts);
      assert.deepEqual([tags.channel, tags.offset, tags.retracts], [channel, '2', '1']);
    });

    for (const namespace of ['kept', 'room']) {
      test(`who was away when a message was taken back recovers that, in ${namespace}:`, async (t) => {
        const channel = freshChannel(namespace);
        const anna = await connected(t, encoding, server.url, 'anna');
        await subscribed(anna, channel);
        const ben = await arrives(t, server.url, 'ben');
        const events = subscriptionEvents(
          await subscribed(ben.client, channel, { recoverable: true }));
        for (const number of [1, 2]) {
          await chat(anna, 'publish', { channel, data: { number } });
        }
        await events.first('publication', ({ offset }) => offset === 2);
        ben.client.disconnect();

        for (const again of [false, true]) {
          assert.deepEqual(await chat(anna, 'retract', { channel, offset: 1 }), {}, `${again}`);
        }
        await chat(anna, 'publish', { channel, data: { number: 3 } });
        ben.client.connect();
        await events.first('publication', ({ offset }) => offset === 4);
        const missed = events.of('publication').slice(2);
        assert.deepEqual(
          missed.map(({ offset, data, tags }) => [offset, unpack(data), tags.retracts]),
          [[3, { retracted: 1 }, '1'], [4, { number: 3 }, undefined]],
        );
        const says = await refusal(chat(anna, 'retract', { channel, offset: 3 }));
        assert.deepEqual([says.code, says.message], [107, 'bad request: offset']);
      });
    }

    test('who has a message already is told in the inbox, and nothing is unread', async (t) => {
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const hers = await arrives(t, server.url, anna);
      const his = await arrives(t, server.url, ben);
      const { channel } = await chat(hers.client, 'send', { to: ben, data: { number: 1 } });
      await his.events.first('publication');
      await chat(his.client, 'read', { channel, offset: 1 });
      his.client.disconnect();
      await chat(hers.client, 'retract', { channel, offset: 1 });

      const back = await arrives(t, server.url, ben);
      const { data, tags } = await back.events.first('publication');
      assert.deepEqual([unpack(data), tags.channel, tags.offset, tags.retracts],
        [{ retracted: 1 }, channel, '2', '1']);
      const rooms = async (client) => (await chat(client, 'rooms', {})).rooms.map(
        ({ head, read, unread }) => [head, read, unread]);
      assert.deepEqual(await rooms(back.client), [[2, 1, 0]]);
      assert.deepEqual(await rooms(hers.client), [[2, 2, 0]]);
      await chat(hers.client, 'send', { to: ben, data: { number: 2 } });
      assert.deepEqual(await rooms(back.client), [[3, 1, 1]]);
    });

    test('a user\'s conversations, page by page, with what is unread', async (t) => {
      const [anna, ben, carl] = ['anna', 'ben', 'carl'].map(freshUser);
      const his = await arrives(t, server.url, ben);
      for (const [user, count] of [[anna, 3], [carl, 1]]) {
        const { client } = await arrives(t, server.url, user);
        for (const number of numbersTo(count)) {
          await chat(client, 'send', { to: ben, data: { number, from: user } });
        }
      }
      const list = ({ rooms }) =>
        rooms.map(({ channel, head, delivered, read, unread, last }) =>
          ({ channel, head, delivered, read, unread, last: last.data.number }));
      const withAnna = { channel: pair(anna, ben), head: 3, delivered: 0, read: 0, unread: 3, last: 3 };
      const withCarl = { channel: pair(ben, carl), head: 1, delivered: 0, read: 0, unread: 1, last: 1 };
      assert.deepEqual(list(await chat(his.client, 'rooms', {})), [withAnna, withCarl]);

      await chat(his.client, 'read', { channel: withAnna.channel, offset: 2 });
      Object.assign(withAnna, { delivered: 2, read: 2, unread: 1 });
      const first = await chat(his.client, 'rooms', { limit: 1 });
      assert.deepEqual(list(first), [withAnna]);
      const second = await chat(his.client, 'rooms', { limit: 1, after: first.next });
      assert.deepEqual(list(second), [withCarl]);
      assert.equal(second.next, undefined);
    });

    test('who is there, page by page, each once', async (t) => {
      const channel = freshChannel('kept');
      const ids = [];
      for (const user of ['anna', 'ben', 'carl', 'dora', 'emil']) {
        const { client, events } = await arrives(t, server.url, user);
        await subscribed(client, channel);
        ids.push([(await events.first('connected')).client, user]);
        if (ids.length < 5) continue;
        const seen = [];
        let pages = 0;
        for (let after; ; pages++) {
          const page = await chat(client, 'members', { channel, limit: 2, ...(after && { after }) });
          assert.ok(page.members.length <= 2 && pages < 3);
          seen.push(...page.members.map((member) => [member.client, member.user]));
          after = page.next;
          if (!after) break;
        }
        assert.equal(pages, 2);
        assert.deepEqual(seen.sort(), ids.sort());
      }
    });

    test('who types is told to the other one, who has only an inbox', async (t) => {
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const hers = await arrives(t, server.url, anna);
      const his = await arrives(t, server.url, ben);
      const { channel } = await chat(hers.client, 'send', { to: ben, data: { number: 1 } });
      await chat(hers.client, 'typing', { channel });
      const typing = await notice(his.events, 'typing');
      assert.deepEqual([typing.channel, typing.user], [channel, anna]);
    });

    test('who has two devices comes with the first and goes with the last', async (t) => {
      const channel = freshChannel('people');
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const hers = await connected(t, encoding, server.url, anna);
      const events = subscriptionEvents(await subscribed(hers, channel, { joinLeave: true }));
      const devices = [];
      for (const _ of [1, 2]) devices.push(await connected(t, encoding, server.url, ben));
      const rooms = [];
      for (const device of devices) rooms.push(await subscribed(device, channel));
      rooms[0].unsubscribe();
      await within(rooms[1].publish(pack({ still: 'here' })), 'the answer');
      await events.first('publication');
      rooms[1].unsubscribe();
      await events.first('leave', ({ info }) => info.user === ben);
      const about = events.seen.filter(({ info }) => info?.user === ben).map(({ name }) => name);
      assert.deepEqual(about, ['join', 'publication', 'leave']);
    });

    test('where one session is allowed, the newest stays and the older ones do not return', async (t) => {
      const anna = freshUser('anna');
      const [alone, others] = ['alone', 'others'].map((tenant) => token({ sub: anna, tenant }));
      const elsewhere = await arrives(t, server.url, anna, { token: others });
      const first = await arrives(t, server.url, anna, { token: alone });
      const second = await arrives(t, server.url, anna, { token: alone });
      assert.equal((await first.events.first('disconnected')).code, 3503);
      const third = await arrives(t, server.url, anna, { token: alone });
      assert.equal((await second.events.first('disconnected')).code, 3503);
      for (const { client, events } of [third, elsewhere]) {
        await within(client.rpc('chat.rooms', pack({})), 'the answer');
        assert.equal(events.of('disconnected').length, 0);
      }
    });

    test('what cannot be is refused with the reason, and changes nothing', async (t) => {
      const [anna, ben, carl] = ['anna', 'ben', 'carl'].map(freshUser);
      const hers = await arrives(t, server.url, anna);
      const carls = await arrives(t, server.url, carl);
      const { channel } = await chat(hers.client, 'send', { to: ben, data: { number: 1 } });
      const refused = async ({ client }, method, fields) => {
        const { code, message } = await refusal(chat(client, method, fields));
        return [code, message];
      };
      const denied = [103, 'permission denied'];
      for (const [method, fields] of [
        ['publish', { data: 1 }], ['ack', { offset: 1 }], ['read', { offset: 1 }],
        ['receipts', {}], ['members', {}], ['typing', {}], ['retract', { offset: 1 }],
        ['edit', { offset: 1, data: 1 }],
      ]) {
        for (const theirs of [channel, `@${anna}`]) {
          assert.deepEqual(await refused(carls, method, { channel: theirs, ...fields }), denied,
            `${method} in ${theirs}`);
        }
      }
      for (const theirs of [channel, `@${anna}`]) {
        const closed = carls.client.newSubscription(theirs);
        const events = subscriptionEvents(closed);
        closed.subscribe();
        assert.equal((await events.first('unsubscribed')).code, 103);
        assert.equal((await refusal(carls.client.history(theirs, { limit: 1 }))).code, 103);
      }
      assert.deepEqual(await refused(hers, 'dance', {}), [104, 'method not found']);
      const wrong = (field) => [107, `bad request: ${field}`];
      for (const [method, fields, field] of [
        ['ack', { channel, offset: 2 }, 'offset'], ['read', { channel, offset: 2 }, 'offset'],
        ['ack', { channel, offset: -1 }, 'offset'], ['ack', { channel }, 'offset'],
        ['ack', { channel: 7, offset: 1 }, 'channel'], ['retract', { channel, offset: 0 }, 'offset'],
        ['retract', { channel, offset: 2 }, 'offset'],
        ['send', { to: ben }, 'data'], ['send', { data: 1 }, 'to'],
        ['send', { to: anna, data: 1 }, 'to'],
        ['send', { to: ben, data: 1, id: 'x'.repeat(65) }, 'id'],
        ['send', { to: ben, data: 1, ttl_s: 0 }, 'ttl_s'],
        ['send', { to: ben, data: 1, traceparent: 'none' }, 'traceparent'],
        ['rooms', { limit: 0 }, 'limit'],
      ]) {
        assert.deepEqual(await refused(hers, method, fields), wrong(field),
          `${method} ${JSON.stringify(fields)}`);
      }
      const his = await arrives(t, server.url, ben);
      await chat(his.client, 'read', { channel, offset: 1 });
      assert.deepEqual(await refused(his, 'read', { channel, offset: 0 }), wrong('offset'));
      const { receipts } = await chat(hers.client, 'receipts', { channel });
      const hisMarks = receipts.find(({ user }) => user === ben);
      assert.deepEqual(hisMarks, { user: ben, delivered: 1, read: 1 });
    });
  });
}
