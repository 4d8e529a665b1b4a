// What a backend says of subscriptions in tokens: `subs` with options, and the same in the token
// of one channel.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, clientEvents, connected, freshChannel, freshUser, startServer, subscribed,
  subscriptionEvents, token,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  describe(`claims about subscriptions, ${encoding.name}`, () => {
    test('the server subscribes to subs: data for the client, info for others', async (t) => {
      const channel = freshChannel();
      const [host, guest] = [freshUser('host'), freshUser('guest')];
      const ben = await connected(t, encoding, server.url, guest);
      const his = await subscribed(ben, channel, { joinLeave: true });
      const events = subscriptionEvents(his);
      const subs = { [channel]: { info: { role: 'host' }, data: { welcome: 'back' } } };
      const anna = await connected(t, encoding, server.url, host, {
        token: token({ sub: host, subs, meta: { plan: 'pro' } }),
        listen: clientEvents,
      });
      const mine = await anna.heard.first('subscribed', (event) => event.channel === channel);
      assert.deepEqual(unpack(mine.data), { welcome: 'back' });
      assert.equal(mine.recoverable, true);
      const { info } = await events.first('join', (event) => event.info.user === host);
      assert.deepEqual(unpack(info.chanInfo), { role: 'host' });
      await anna.publish(channel, pack({ number: 1 }));
      const said = await events.first('publication');
      assert.deepEqual(unpack(said.info.chanInfo), { role: 'host' });
      const { clients } = await ben.presence(channel);
      const shown = Object.values(clients).find(({ user }) => user === host);
      assert.deepEqual(unpack(shown.chanInfo), { role: 'host' });
    });

    test('a token of one channel has data, and overrides the namespace', async (t) => {
      const channel = freshChannel('eager');
      const user = freshUser('anna');
      const quiet = { value: false };
      const claims = {
        data: [1, 2],
        override: { force_push_join_leave: quiet, force_recovery: quiet, force_positioning: quiet },
      };
      const anna = await connected(t, encoding, server.url, user);
      const room = anna.newSubscription(channel, { token: token({ sub: user, channel, ...claims }) });
      const events = subscriptionEvents(room);
      room.subscribe();
      const told = await events.first('subscribed');
      assert.deepEqual(unpack(told.data), [1, 2]);
      assert.deepEqual([told.recoverable, told.positioned], [false, false]);
      const ben = await connected(t, encoding, server.url, freshUser('ben'));
      const his = await subscribed(ben, channel);
      await his.publish(pack({ number: 1 }));
      await events.first('publication');
      assert.equal(events.of('join').length, 0);
    });
  });
}

test('a claim that is not supported is counted, and named in the log once', async (t) => {
  const [encoding] = ENCODINGS;
  const channel = freshChannel();
  const subs = { [channel]: { override: { presence: { value: false } } } };
  for (const user of ['anna', 'ben']) {
    const claims = token({ sub: user, subs, roles: ['admin'] });
    await connected(t, encoding, server.url, user, { token: claims });
  }
  const series = 'chat_token_claims_unsupported_total{claim="override.presence"}';
  const counted = (await server.metrics()).split('\n').find((line) => line.startsWith(series));
  assert.equal(counted, `${series} 2`);
  const named = () => server.log.filter((line) => line.includes('override.presence')).length;
  while (named() === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(named(), 1);
});
