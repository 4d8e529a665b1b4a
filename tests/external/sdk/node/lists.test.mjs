// Channels as clients of other servers have them: those that list their users, and personal ones.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, clientEvents, connected, freshChannel, freshUser, refusal, startServer, subscribed,
  subscriptionEvents, token,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer({
    more: `
[[namespaces]]
name = ""
subscribe = "users"
publish = "users"
personal_channel = "#"
durability = "memory"

[[namespaces]]
name = "team"
user_lists = true
publish = "subscribers"
history_count_max = 10
durability = "memory"
`,
  });
});
after(() => server.stop());

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  describe(`channels of users, ${encoding.name}`, () => {
    test('those on the list meet without a token, and nobody else comes in', async (t) => {
      const channel = `${freshChannel('team')}#anna,ben`;
      const anna = await connected(t, encoding, server.url, 'anna');
      const hers = subscriptionEvents(await subscribed(anna, channel));
      const ben = await connected(t, encoding, server.url, 'ben');
      const his = await subscribed(ben, channel);
      await his.publish(pack({ text: 'hi' }));
      assert.deepEqual(unpack((await hers.first('publication')).data), { text: 'hi' });
      const all = [{ channels: ['*'], match: 'wildcard', allow: ['sub', 'pub', 'hst'] }];
      for (const claims of [{ sub: 'eve' }, { sub: 'eve', caps: all }, {}]) {
        const eve = await connected(t, encoding, server.url, '', { token: token(claims) });
        const room = eve.newSubscription(channel);
        room.on('error', () => {});
        room.subscribe();
        const { code } = await subscriptionEvents(room).first('unsubscribed');
        assert.equal(code, 103);
        assert.equal((await refusal(eve.publish(channel, pack(1)))).code, 103);
        assert.equal((await refusal(eve.history(channel, { limit: 1 }))).code, 103);
      }
    });

    test('a personal channel is there from the start, on every device', async (t) => {
      const [user, channel] = (({ name }) => [name, `#${name}`])({ name: freshUser('anna') });
      const devices = [];
      for (let device = 0; device < 2; device++) {
        const options = { listen: clientEvents };
        devices.push(await connected(t, encoding, server.url, user, options));
      }
      for (const { heard } of devices) {
        await heard.first('subscribed', (event) => event.channel === channel);
      }
      await devices[0].publish(channel, pack({ order: 7 }));
      for (const { heard } of devices) {
        const { data } = await heard.first('publication', (event) => event.channel === channel);
        assert.deepEqual(unpack(data), { order: 7 });
      }
      const eve = await connected(t, encoding, server.url, 'eve');
      assert.equal((await refusal(eve.publish(channel, pack(1)))).code, 103);
    });
  });
}
