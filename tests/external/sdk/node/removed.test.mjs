// Histories that a backend removes: who was away before that is told that it can't recover, who was
// at the end has missed nothing, and a state is asked for again.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, connected, freePort, freshChannel, startProxy, startServer, subscribed,
  subscriptionEvents, token, within,
} from './harness.mjs';

const KEY = 'a key that removes histories';

let server;
let api;
before(async () => {
  api = `http://127.0.0.1:${await freePort()}`;
  const sha256 = createHash('sha256').update(KEY).digest('hex');
  const key = `name = "backend"\nsha256 = "${sha256}"\nchannels = ["*"]`;
  const scopes = '["publish", "history", "history_remove"]';
  server = await startServer({
    more: `\n[api]\nlisten = "${new URL(api).host}"\n[[api.keys]]\n${key}\nscopes = ${scopes}\n`,
  });
});
after(() => server.stop());

async function call(method, body) {
  const headers = { 'X-API-Key': KEY };
  const response = await fetch(`${api}/api/${method}`, {
    method: 'POST', headers, body: JSON.stringify(body),
  });
  const { result } = await response.json();
  assert.ok(result, `${method} is done`);
  return result;
}

const remove = (channel) => call('history_remove', { channel });

const reader = (user) =>
  token({ sub: user, caps: [{ channels: ['*'], match: 'wildcard', allow: ['hst'] }] });

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;
  const numbers = (events) => events.map(({ data }) => unpack(data).number);

  describe(`history_remove, ${encoding.name}`, () => {
    for (const namespace of ['room', 'kept']) {
      test(`who is away when ${namespace} is emptied recovers from its end alone`, async (t) => {
        const channel = freshChannel(namespace);
        const dora = await connected(t, encoding, server.url, 'dora');
        const hers = await subscribed(dora, channel);
        const away = [];
        for (const user of ['anna', 'ben']) {
          const proxy = await startProxy(server.port);
          t.after(() => proxy.stop());
          const peer = await connected(t, encoding, proxy.url, user);
          const events = subscriptionEvents(await subscribed(peer, channel, { recoverable: true }));
          away.push({ proxy, events });
        }
        const [before, atTheEnd] = away;
        const leaves = ({ proxy }) => {
          proxy.stopReading();
          proxy.cut();
        };
        await hers.publish(pack({ number: 1 }));
        for (const { events } of away) await events.first('publication');
        leaves(before);
        await hers.publish(pack({ number: 2 }));
        await atTheEnd.events.atLeast(2, 'publication');
        leaves(atTheEnd);
        await remove(channel);
        for (const { proxy, events } of away) {
          proxy.readAgain();
          await events.first('subscribed', ({ wasRecovering }) => wasRecovering);
        }
        const recovered = ({ events }) =>
          events.of('subscribed').filter((one) => one.wasRecovering).map((one) => one.recovered);
        assert.deepEqual([recovered(before), recovered(atTheEnd)], [[false], [true]]);
        assert.deepEqual((await hers.history({ limit: 10 })).publications, []);
        await hers.publish(pack({ number: 3 }));
        assert.deepEqual(numbers(await before.events.atLeast(2, 'publication')), [1, 3]);
        assert.deepEqual(numbers(await atTheEnd.events.atLeast(3, 'publication')), [1, 2, 3]);
        const { publications } = await hers.history({ limit: 10 });
        assert.deepEqual(publications.map(({ offset }) => offset), [3]);
      });
    }

    test('a state from before is asked for again', async (t) => {
      const channel = freshChannel('kept');
      const told = await call('publish', { channel, data: { number: 1 } });
      await call('publish', { channel, data: { number: 2 } });
      await remove(channel);
      const { offset, epoch } = await call('history', { channel });
      assert.deepEqual([offset, epoch], [2, told.epoch]);
      const states = [{ offset: told.offset, epoch: told.epoch }, { offset, epoch }];
      const anna = await connected(t, encoding, server.url, 'anna', { token: reader('anna') });
      const delays = { minResubscribeDelay: 20, maxResubscribeDelay: 200 };
      const room = anna.newSubscription(channel, { ...delays, getState: async () => states.shift() });
      const events = subscriptionEvents(room);
      room.subscribe();
      await within(room.ready(), `the subscription of ${channel}`);
      assert.deepEqual([events.of('subscribed')[0].recovered, states.length], [true, 0]);
    });
  });
}
