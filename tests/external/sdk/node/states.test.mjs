// Applications that have a state of their own (`getState`): the SDK begins where that ends, and
// asks for it again when what was said since is gone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, client, connected, freshChannel, startProxy, startServer, subscribed,
  subscriptionEvents, token, within,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

const BEGINNING = { offset: 0, epoch: '' };

// Who may read the history of any room, as a backend does by the server API.
const reader = (user) =>
  token({ sub: user, caps: [{ channels: ['*'], match: 'wildcard', allow: ['hst'] }] });

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;
  const numbers = (events) => events.map(({ data }) => unpack(data).number);

  // A channel with what ben said in it: 1 to `count`.
  async function spoken(t, namespace, count) {
    const channel = freshChannel(namespace);
    const ben = await connected(t, encoding, server.url, 'ben', { token: reader('ben') });
    const his = await subscribed(ben, channel);
    for (let number = 1; number <= count; number++) await his.publish(pack({ number }));
    const position = async () => {
      const { offset, epoch } = await his.history({ limit: 0 });
      return { offset, epoch };
    };
    return { channel, his, position };
  }

  // What a reader sees who begins with a state, over a connection that can be cut.
  async function follow(t, channel, options) {
    const proxy = await startProxy(server.port);
    t.after(() => proxy.stop());
    const anna = await connected(t, encoding, proxy.url, 'anna', { token: reader('anna') });
    const delays = { minResubscribeDelay: 20, maxResubscribeDelay: 200 };
    const room = anna.newSubscription(channel, { ...delays, ...options });
    const events = subscriptionEvents(room);
    room.subscribe();
    await within(room.ready(), `the subscription of ${channel}`);
    return { proxy, events };
  }

  describe(`getState, ${encoding.name}`, () => {
    test('a state is followed by what was said since', async (t) => {
      const { channel, his, position } = await spoken(t, 'room', 3);
      let calls = 0;
      const getState = async () => {
        calls += 1;
        const state = await position();
        await his.publish(pack({ number: 4 }));
        return state;
      };
      const { proxy, events } = await follow(t, channel, { getState });
      assert.equal(events.of('subscribed')[0].recovered, true);
      await events.atLeast(1, 'publication');
      proxy.cut();
      await events.atLeast(2, 'subscribed');
      await his.publish(pack({ number: 5 }));
      assert.deepEqual(numbers(await events.atLeast(2, 'publication')), [4, 5]);
      assert.equal(calls, 1, 'who recovers needs no other state');
    });

    test('a state from before the first message begins with it', async (t) => {
      for (const count of [0, 3]) {
        const { channel, his } = await spoken(t, 'room', count);
        const { events } = await follow(t, channel, { getState: async () => BEGINNING });
        const [{ recovered, wasRecovering }] = events.of('subscribed');
        assert.deepEqual([recovered, wasRecovering], [true, true]);
        await his.publish(pack({ number: count + 1 }));
        const all = Array.from({ length: count + 1 }, (_, index) => index + 1);
        assert.deepEqual(numbers(await events.atLeast(count + 1, 'publication')), all);
      }
    });

    test('a state that is too old is asked for again', async (t) => {
      // It keeps five messages.
      const { channel, his, position } = await spoken(t, 'short', 9);
      const states = [BEGINNING, await position()];
      const { proxy, events } = await follow(t, channel, { getState: async () => states.shift() });
      assert.equal(states.length, 0, 'the first one was refused');
      proxy.stopReading();
      proxy.cut();
      await events.atLeast(2, 'subscribing');
      for (let number = 10; number <= 20; number++) await his.publish(pack({ number }));
      states.push(await position());
      proxy.readAgain();
      const [, again] = await events.atLeast(2, 'subscribed');
      assert.deepEqual([again.recovered, states.length], [true, 0]);
      await his.publish(pack({ number: 21 }));
      assert.deepEqual(numbers(await events.atLeast(1, 'publication')), [21]);
      assert.equal(events.of('error').length, 0, 'the SDK tells of none');
    });

    test('who may not read the history has no beginning', async (t) => {
      const { channel, his } = await spoken(t, 'short', 2);
      const eve = client(t, encoding, server.url, { token: token({ sub: 'eve' }) });
      eve.connect();
      const room = eve.newSubscription(channel, { since: BEGINNING });
      const events = subscriptionEvents(room);
      room.subscribe();
      assert.equal((await events.first('subscribed')).recovered, false);
      await his.publish(pack({ number: 3 }));
      assert.deepEqual(numbers(await events.atLeast(1, 'publication')), [3]);
    });
  });
}
