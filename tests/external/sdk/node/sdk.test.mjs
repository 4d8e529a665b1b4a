// What people do with the JavaScript SDK, in both encodings, against one server.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, client, clientEvents, connected, freshChannel, nowSeconds, refusal, startProxy,
  startServer, subscribed, subscriptionEvents, token, within,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

// Tokens of two seconds, the last of which lives long; `used` when that one was asked for.
class ShortLived {
  constructor(count, claims) {
    this.left = count;
    this.claims = claims;
    this.used = new Promise((resolve) => (this.finish = resolve));
  }

  async next() {
    this.left -= 1;
    if (this.left === 0) this.finish();
    return token({ ...this.claims, exp: nowSeconds() + (this.left > 0 ? 2 : 600) });
  }
}

// What anna, whose connection a proxy can break, sees of a channel that ben speaks in.
async function behindProxy(t, encoding, channel) {
  const proxy = await startProxy(server.port);
  t.after(() => proxy.stop());
  const anna = await connected(t, encoding, proxy.url, 'anna');
  const room = await subscribed(anna, channel, { recoverable: true });
  const events = subscriptionEvents(room);
  const ben = await connected(t, encoding, server.url, 'ben');
  const his = await subscribed(ben, channel);
  return { proxy, events, his };
}

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  describe(`centrifuge, ${encoding.name}`, () => {
    test('connects, and every connection has an identity of its own', async (t) => {
      const ids = new Set();
      for (const user of ['anna', 'anna', 'ben']) {
        const one = client(t, encoding, server.url, { token: token({ sub: user }) });
        const events = clientEvents(one);
        one.connect();
        const { client: id, transport } = await events.first('connected');
        assert.equal(transport, 'websocket');
        assert.ok(id.length > 0);
        ids.add(id);
      }
      assert.equal(ids.size, 3);
    });

    test('a disconnect by the client is final and quiet', async (t) => {
      const anna = await connected(t, encoding, server.url, 'anna');
      const events = clientEvents(anna);
      anna.disconnect();
      assert.equal((await events.first('disconnected')).code, 0);
      anna.connect();
      await events.first('connected');
    });

    test('everyone in a room sees every message, in order, with its sender', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna', {
        token: token({ sub: 'anna', info: { name: 'Anna' } }),
      });
      const ben = await connected(t, encoding, server.url, 'ben');
      const here = await subscribed(anna, channel);
      const there = await subscribed(ben, channel);
      const seen = [here, there].map(subscriptionEvents);
      for (let number = 1; number <= 50; number++) await here.publish(pack({ number }));
      for (const events of seen) {
        const publications = await events.atLeast(50, 'publication');
        assert.deepEqual(
          publications.map(({ data }) => unpack(data).number),
          Array.from({ length: 50 }, (_, index) => index + 1),
        );
        assert.deepEqual(
          publications.map(({ offset }) => offset),
          Array.from({ length: 50 }, (_, index) => index + 1),
        );
        assert.equal(publications[0].info.user, 'anna');
        assert.deepEqual(unpack(publications[0].info.connInfo), { name: 'Anna' });
      }
    });

    test('data comes back as it was, whatever it is', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const room = await subscribed(anna, channel);
      const events = subscriptionEvents(room);
      const values = [
        null, true, 0, -1.5e-7, '', 'line\nfeed \u2028 "quoted" \\ \u{1F426}', [], {},
        { nested: [{ deep: [[[1]]] }] }, 'x'.repeat(20_000),
      ];
      for (const value of values) await room.publish(pack({ value }));
      const publications = await events.atLeast(values.length, 'publication');
      assert.deepEqual(publications.map(({ data }) => unpack(data).value), values);
    });

    test('presence and its numbers follow who is in', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const again = await connected(t, encoding, server.url, 'anna');
      const ben = await connected(t, encoding, server.url, 'ben');
      const rooms = [];
      for (const one of [anna, again, ben]) rooms.push(await subscribed(one, channel));
      const { clients } = await rooms[0].presence();
      const users = Object.values(clients).map(({ user }) => user).sort();
      assert.deepEqual(users, ['anna', 'anna', 'ben']);
      for (const [id, info] of Object.entries(clients)) assert.equal(info.client, id);
      const stats = await rooms[2].presenceStats();
      assert.deepEqual([stats.numClients, stats.numUsers], [3, 2]);
    });

    test('coming and going is told to those who asked', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const room = await subscribed(anna, channel, { joinLeave: true });
      const events = subscriptionEvents(room);
      const ben = await connected(t, encoding, server.url, 'ben');
      const his = await subscribed(ben, channel);
      const joined = await events.first('join', ({ info }) => info.user === 'ben');
      his.unsubscribe();
      const left = await events.first('leave', ({ info }) => info.user === 'ben');
      assert.equal(left.info.client, joined.info.client);
    });

    test('a client that vanishes leaves', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const room = await subscribed(anna, channel, { joinLeave: true });
      const events = subscriptionEvents(room);
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      // Who comes back within the grace has never left.
      const away = { minReconnectDelay: 60_000, maxReconnectDelay: 60_000 };
      const ben = await connected(t, encoding, proxy.url, 'ben', away);
      await subscribed(ben, channel);
      await events.first('join', ({ info }) => info.user === 'ben');
      proxy.cut();
      await events.first('leave', ({ info }) => info.user === 'ben');
    });

    test('history has what was said: from the start, the end, and between', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const room = await subscribed(anna, channel);
      for (let number = 1; number <= 10; number++) await room.publish(pack({ number }));
      const numbers = (result) => result.publications.map(({ data }) => unpack(data).number);

      const position = await room.history();
      assert.deepEqual(numbers(position), []);
      assert.equal(position.offset, 10);
      assert.deepEqual(numbers(await room.history({ limit: 3 })), [1, 2, 3]);
      assert.deepEqual(numbers(await room.history({ limit: 100 })).length, 10);
      assert.deepEqual(numbers(await room.history({ limit: 3, reverse: true })), [10, 9, 8]);
      const since = { offset: 4, epoch: position.epoch };
      assert.deepEqual(numbers(await room.history({ limit: 2, since })), [5, 6]);
      assert.deepEqual(numbers(await room.history({ limit: 2, since, reverse: true })), [3, 2]);
    });

    test('after a lost connection nothing is missing and nothing comes twice', async (t) => {
      const { proxy, events, his } = await behindProxy(t, encoding, freshChannel());
      await his.publish(pack({ number: 1 }));
      await events.atLeast(1, 'publication');
      for (let round = 0; round < 3; round++) {
        const before = events.of('subscribed').length;
        proxy.cut();
        await events.atLeast(round + 1, 'subscribing');
        for (let step = 0; step < 5; step++) {
          await his.publish(pack({ number: 2 + round * 5 + step }));
        }
        const again = (await events.atLeast(before + 1, 'subscribed')).at(-1);
        assert.ok(again.wasRecovering);
        assert.ok(again.recovered);
      }
      const publications = await events.atLeast(16, 'publication');
      assert.deepEqual(
        publications.map(({ data }) => unpack(data).number),
        Array.from({ length: 16 }, (_, index) => index + 1),
      );
      assert.equal(events.of('publication').length, 16);
    });

    test('a namespace can tell of coming and going, and recover, without being asked', async (t) => {
      const channel = freshChannel('eager');
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const anna = await connected(t, encoding, proxy.url, 'anna');
      const events = subscriptionEvents(await subscribed(anna, channel));
      const ben = await connected(t, encoding, server.url, 'ben');
      const his = await subscribed(ben, channel);
      await events.first('join', ({ info }) => info.user === 'ben');
      await his.publish(pack({ number: 1 }));
      await events.first('publication');
      proxy.cut();
      await events.first('subscribing');
      await his.publish(pack({ number: 2 }));
      const again = await events.first('subscribed');
      assert.deepEqual([again.wasRecovering, again.recovered], [true, true]);
      assert.equal(again.positioned, true);
      const publications = await events.atLeast(2, 'publication');
      assert.deepEqual(publications.map(({ data }) => unpack(data).number), [1, 2]);
      his.unsubscribe();
      await events.first('leave', ({ info }) => info.user === 'ben');
    });

    test('a gap that is no longer kept is told', async (t) => {
      const { proxy, events, his } = await behindProxy(t, encoding, freshChannel('short'));
      await his.publish(pack({ number: 0 }));
      await events.first('publication');
      // The next attempt comes only when everything has been said.
      proxy.stopReading();
      proxy.cut();
      await events.first('subscribing');
      for (let number = 1; number <= 20; number++) await his.publish(pack({ number }));
      proxy.readAgain();
      const again = await events.first('subscribed', ({ wasRecovering }) => wasRecovering);
      assert.equal(again.recovered, false);
    });

    test('a token is refreshed before it counts as expired', async (t) => {
      const tokens = new ShortLived(3, { sub: 'anna' });
      const anna = client(t, encoding, server.url, { getToken: () => tokens.next() });
      const events = clientEvents(anna);
      anna.connect();
      await within(tokens.used, 'two refreshes');
      const room = await subscribed(anna, freshChannel());
      await room.publish(pack({ after: 'refresh' }));
      assert.equal(events.of('connected').length, 1);
    });

    test('an expired token is replaced by a new one', async (t) => {
      const anna = client(t, encoding, server.url, {
        token: token({ sub: 'anna', exp: nowSeconds() - 10 }),
        getToken: async () => token({ sub: 'anna' }),
        mayMeet: [109],
      });
      const events = clientEvents(anna);
      anna.connect();
      await events.first('connected');
      assert.deepEqual(events.of('error').map(({ error }) => error.code), [109]);
    });

    test('a bad token is final', async (t) => {
      const forged = [
        token({ sub: 'anna' }, 'another secret, long enough to be one'),
        `${token({ sub: 'anna' })}x`,
        'no token at all',
      ];
      for (const bad of forged) {
        const anna = client(t, encoding, server.url, { token: bad });
        const events = clientEvents(anna);
        anna.connect();
        assert.equal((await events.first('disconnected')).code, 3500);
      }
    });

    test('a subscription by token, refreshed while it lasts', async (t) => {
      const channel = freshChannel('closed');
      const tokens = new ShortLived(3, { sub: 'anna', channel });
      const anna = await connected(t, encoding, server.url, 'anna');
      const room = anna.newSubscription(channel, { getToken: () => tokens.next() });
      const events = subscriptionEvents(room);
      room.subscribe();
      await within(tokens.used, 'two refreshes');
      await within(room.ready(), 'the subscription');
      assert.equal(events.of('subscribed').length, 1);
    });

    test('a channel that needs a token, without one and with another channel\'s', async (t) => {
      const anna = await connected(t, encoding, server.url, 'anna');
      const channel = freshChannel('closed');
      for (const options of [
        {},
        { token: token({ sub: 'anna', channel: freshChannel('closed') }) },
        { token: token({ sub: 'ben', channel }) },
      ]) {
        const room = anna.newSubscription(channel, options);
        const events = subscriptionEvents(room);
        room.subscribe();
        assert.equal((await events.first('unsubscribed')).code, 103);
        anna.removeSubscription(room);
      }
    });

    test('a channel of no namespace does not exist', async (t) => {
      const anna = await connected(t, encoding, server.url, 'anna');
      const room = anna.newSubscription('nowhere:1');
      const events = subscriptionEvents(room);
      room.subscribe();
      assert.equal((await events.first('unsubscribed')).code, 102);
    });

    test('publishing where one is not is refused', async (t) => {
      const anna = await connected(t, encoding, server.url, 'anna');
      const refused = await refusal(anna.publish(freshChannel(), pack({ hello: true })));
      assert.equal(refused.code, 103);
    });

    test('rpc: typing is served, other chat verbs are unknown, the rest has no hook', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const ben = await connected(t, encoding, server.url, 'ben');
      await subscribed(anna, channel);
      await subscribed(ben, channel);
      const told = clientEvents(ben);
      await within(anna.rpc('chat.typing', pack({ channel })), 'the answer');
      const { typing } = unpack((await told.first('message')).data);
      const { clients } = await anna.presence(channel);
      assert.deepEqual([typing.channel, typing.user], [channel, 'anna']);
      assert.equal(clients[typing.client].user, 'anna');
      assert.equal((await refusal(anna.rpc('chat.dance', pack({})))).code, 104);
      assert.equal((await refusal(anna.rpc('orders.list', pack({})))).code, 108);
    });

    test('a message without an answer does no harm', async (t) => {
      const anna = await connected(t, encoding, server.url, 'anna');
      await anna.send(pack({ note: 'to nobody' }));
      const room = await subscribed(anna, freshChannel());
      await room.publish(pack({ still: 'here' }));
    });

    test('the server subscribes: the inbox, and what the token lists', async (t) => {
      const channel = freshChannel();
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const anna = client(t, encoding, proxy.url, {
        token: token({ sub: 'anna', channels: [channel] }),
      });
      const events = clientEvents(anna);
      anna.connect();
      await events.atLeast(2, 'subscribed');
      assert.deepEqual(events.of('subscribed').map((event) => event.channel).sort(),
        ['@anna', channel].sort());

      const ben = await connected(t, encoding, server.url, 'ben');
      const his = await subscribed(ben, channel);
      await his.publish(pack({ number: 1 }));
      await events.first('publication', (event) => event.channel === channel);

      proxy.cut();
      await events.first('subscribing', (event) => event.channel === channel);
      await his.publish(pack({ number: 2 }));
      const second = (await events.atLeast(2, 'publication')).at(-1);
      assert.deepEqual(unpack(second.data), { number: 2 });
    });

    test('a subscription that ended gets nothing more', async (t) => {
      const channel = freshChannel();
      const anna = await connected(t, encoding, server.url, 'anna');
      const ben = await connected(t, encoding, server.url, 'ben');
      const hers = await subscribed(anna, channel);
      const his = await subscribed(ben, channel);
      const events = subscriptionEvents(hers);
      hers.unsubscribe();
      await events.first('unsubscribed');
      // The answer to a later command of the same connection proves that the
      // server has taken the unsubscribe.
      await subscribed(anna, freshChannel());
      await his.publish(pack({ too: 'late' }));
      hers.subscribe();
      await events.first('subscribed');
      await his.publish(pack({ in: 'time' }));
      const publications = await events.atLeast(1, 'publication');
      assert.deepEqual(unpack(publications[0].data), { in: 'time' });
    });
  });
}

test('encodings talk to each other', async (t) => {
  const channel = freshChannel();
  const [json, protobuf] = ENCODINGS;
  const anna = await subscribed(await connected(t, json, server.url, 'anna'), channel);
  const ben = await subscribed(await connected(t, protobuf, server.url, 'ben'), channel);
  const hers = subscriptionEvents(anna);
  const his = subscriptionEvents(ben);
  await anna.publish({ from: 'anna', text: 'multi\nline' });
  await ben.publish(protobuf.pack({ from: 'ben' }));
  assert.deepEqual(
    (await hers.atLeast(2, 'publication')).map(({ data }) => data),
    [{ from: 'anna', text: 'multi\nline' }, { from: 'ben' }],
  );
  assert.deepEqual(
    (await his.atLeast(2, 'publication')).map(({ data }) => protobuf.unpack(data)),
    [{ from: 'anna', text: 'multi\nline' }, { from: 'ben' }],
  );
});

test('tenants do not see each other', async (t) => {
  const channel = freshChannel();
  const [json] = ENCODINGS;
  const inOne = await connected(t, json, server.url, 'anna', {
    token: token({ sub: 'anna', tenant: 'one' }),
  });
  const inTwo = await connected(t, json, server.url, 'anna', {
    token: token({ sub: 'anna', tenant: 'two' }),
  });
  const one = await subscribed(inOne, channel);
  const two = await subscribed(inTwo, channel);
  const events = subscriptionEvents(two);
  await one.publish({ tenant: 'one' });
  await two.publish({ tenant: 'two' });
  const [first] = await events.atLeast(1, 'publication');
  assert.deepEqual([first.data, first.offset], [{ tenant: 'two' }, 1]);
  assert.equal((await one.presenceStats()).numClients, 1);
});
