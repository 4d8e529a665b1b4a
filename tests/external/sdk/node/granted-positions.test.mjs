// A backend that has a state hands on the position of it in the subscription's token, so that users
// who may not read the history recover from there, and from nowhere before.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, connected, freePort, freshChannel, startServer, subscriptionEvents, token, within,
} from './harness.mjs';

const KEY = 'a key of a backend with a state';

let server;
let api;
before(async () => {
  api = `http://127.0.0.1:${await freePort()}`;
  const sha256 = createHash('sha256').update(KEY).digest('hex');
  // Rooms that everybody may enter, and whose history nobody may read without being granted that.
  const rooms = [['stated', 'memory'], ['durable', 'fsync']].map(([name, durability]) =>
    `\n[[namespaces]]\nname = "${name}"\nsubscribe = "users"\nsee_history = "token"\n` +
    `history_count_max = 100\nhistory_age_ms_max = 60000\ndurability = "${durability}"\n`);
  const key = `name = "backend"\nsha256 = "${sha256}"\nchannels = ["*"]\nscopes = ["publish"]`;
  const more = `${rooms.join('')}\n[api]\nlisten = "${new URL(api).host}"\n[[api.keys]]\n${key}\n`;
  server = await startServer({ more });
});
after(() => server.stop());

/** Publishes as the backend; the position of the message. */
async function publish(channel, data) {
  const response = await fetch(`${api}/api/publish`, {
    method: 'POST', headers: { 'X-API-Key': KEY }, body: JSON.stringify({ channel, data }),
  });
  const { result: { offset, epoch } } = await response.json();
  return { offset, epoch };
}

for (const encoding of ENCODINGS) {
  describe(`positions in tokens, ${encoding.name}`, () => {
    const numbers = (events) => events.map(({ data }) => encoding.unpack(data).number);

    async function messages(channel) {
      const positions = [];
      for (const number of [1, 2, 3]) positions.push(await publish(channel, { number }));
      return positions;
    }

    /** Ann's subscription, whose state is at `state` and whose token grants `granted`. */
    async function subscribe(t, channel, state, granted) {
      const ann = await connected(t, encoding, server.url, 'ann');
      const claims = { sub: 'ann', channel, ...(granted && { recover_since: granted }) };
      let asked = 0;
      let onRefused;
      const refused = new Promise((resolve) => { onRefused = resolve; });
      const room = ann.newSubscription(channel, {
        minResubscribeDelay: 20, maxResubscribeDelay: 50,
        getToken: async () => token(claims),
        // The SDK asks again when it is refused with 112.
        getState: async () => {
          asked += 1;
          if (asked === 2) onRefused();
          return state;
        },
      });
      const events = subscriptionEvents(room);
      room.subscribe();
      t.after(() => room.unsubscribe());
      return { room, events, refused };
    }

    for (const namespace of ['stated', 'durable']) {
      test(`what was said in ${namespace} since the state is recovered`, async (t) => {
        const channel = freshChannel(namespace);
        const [first] = await messages(channel);
        const { room, events } = await subscribe(t, channel, first, first);
        await within(room.ready(), `the subscription of ${channel}`);
        assert.deepEqual(numbers(await events.atLeast(2, 'publication')), [2, 3]);
        assert.equal(events.of('subscribed')[0].recovered, true);
        await publish(channel, { number: 4 });
        assert.deepEqual(numbers(await events.atLeast(3, 'publication')), [2, 3, 4]);
      });
    }

    test('nobody recovers from before what was granted, or without a grant', async (t) => {
      const channel = freshChannel('durable');
      const [first, second] = await messages(channel);
      for (const granted of [undefined, second]) {
        const { events, refused } = await subscribe(t, channel, first, granted);
        await within(refused, `a refusal with ${JSON.stringify(granted)}`);
        assert.deepEqual([events.of('publication'), events.of('subscribed')], [[], []]);
      }
    });
  });
}
