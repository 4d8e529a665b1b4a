// Trouble that passes: whatever a laptop slept through, the SDK comes back by itself, of
// this year and of the year before.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, FORMER_ENCODINGS, client, clientEvents, connected, freshChannel, freshUser,
  nowSeconds, startServer, subscribed, subscriptionEvents, token, within,
} from './harness.mjs';

const TOKEN_EXPIRED = 109;
// More than any limit on mistakes, and fewer than a connection's channels.
const CHANNELS = 100;

let server;
before(async () => (server = await startServer()));
after(() => server.stop());

const ended = (claims) => token({ ...claims, exp: nowSeconds() - 60 });
const good = (claims) => token({ ...claims, exp: nowSeconds() + 600 });
// Ends so soon that the SDK brings the next one at once.
const short = (claims) => token({ ...claims, exp: nowSeconds() + 2 });

// Gives these tokens, one after the other, and the last one again and again.
const giving = (...tokens) => async () => (tokens.length > 1 ? tokens.shift() : tokens[0])();

// Most of it waits for tokens to end, so all wait at once.
for (const encoding of [...ENCODINGS, ...FORMER_ENCODINGS]) describe(encoding.name, { concurrency: true }, () => {
  const { pack, unpack } = encoding;
  const quick = { minResubscribeDelay: 20, maxResubscribeDelay: 200 };

  test(`a component that is mounted twice is in`, async (t) => {
    const channel = freshChannel();
    const ben = await subscribed(await connected(t, encoding, server.url, 'ben'), channel);
    const anna = await connected(t, encoding, server.url, 'anna');
    const sub = anna.newSubscription(channel, quick);
    const heard = subscriptionEvents(sub);
    sub.subscribe();
    sub.unsubscribe();
    sub.subscribe();
    await within(sub.ready(), 'the second mount');
    // The SDK of a year ago takes the answer to the first mount for that to the second, which is
    // still on its way. This answer comes behind all three.
    await sub.presence();
    await ben.publish(pack({ text: 'here?' }));
    const [said] = await heard.atLeast(1, 'publication');
    assert.equal(unpack(said.data).text, 'here?');
    assert.equal(sub.state, 'subscribed');
  });

  test(`${CHANNELS} subscriptions whose tokens have all ended come back`, async (t) => {
    const user = freshUser('anna');
    const anna = client(t, encoding, server.url, {
      token: ended({ sub: user }),
      getToken: async () => good({ sub: user }),
      mayMeet: [TOKEN_EXPIRED],
    });
    const fate = clientEvents(anna);
    const subs = Array.from({ length: CHANNELS }, () => {
      const claims = { sub: user, channel: freshChannel('closed') };
      const getToken = async () => good(claims);
      return anna.newSubscription(claims.channel, { ...quick, token: ended(claims), getToken });
    });
    subs.forEach((sub) => sub.subscribe());
    anna.connect();
    await Promise.all(subs.map((sub) => within(sub.ready(), sub.channel)));
    assert.equal(fate.of('connected').length, 1, 'nobody was sent away');
    assert.equal(fate.of('disconnected').length, 0);
  });

  test(`a refresh with a token that has just ended is no end`, async (t) => {
    const claims = { sub: freshUser('anna') };
    const anna = client(t, encoding, server.url, {
      token: short(claims),
      getToken: giving(() => ended(claims), () => good(claims)),
      // Some SDKs send the ended one once more, or lose the refresh under way.
      mayMeet: [TOKEN_EXPIRED, 11],
    });
    const fate = clientEvents(anna);
    anna.connect();
    await fate.atLeast(2, 'connected');
    assert.ok(fate.of('connecting').some(({ code }) => code === 3005));
    assert.equal(fate.of('disconnected').length, 0);
  });

  test(`the same for a subscription leaves the others alone`, async (t) => {
    const user = freshUser('anna');
    const claims = { sub: user, channel: freshChannel('closed') };
    const anna = await connected(t, encoding, server.url, user, { mayMeet: [TOKEN_EXPIRED] });
    const fate = clientEvents(anna);
    const other = subscriptionEvents(await subscribed(anna, freshChannel()));
    const sub = anna.newSubscription(claims.channel, {
      ...quick,
      token: short(claims),
      getToken: giving(() => ended(claims), () => good(claims)),
    });
    const heard = subscriptionEvents(sub);
    sub.subscribe();
    await heard.atLeast(2, 'subscribed');
    assert.ok(heard.of('subscribing').some(({ code }) => code === 2501));
    assert.equal(heard.of('unsubscribed').length, 0);
    assert.deepEqual([fate.seen, other.seen], [[], []], 'nothing else happened');
  });

  test(`what a fresh token does not allow ends, and the rest stays`, async (t) => {
    const sub = freshUser('anna');
    const [kept, lost] = [freshChannel('closed'), freshChannel('closed')];
    const caps = (channels) => ({ sub, caps: [{ channels, allow: ['sub'] }] });
    const anna = client(t, encoding, server.url, {
      token: short(caps([kept, lost])),
      getToken: async () => good(caps([kept])),
    });
    const [stays, goes] = [kept, lost].map((channel) => anna.newSubscription(channel, quick));
    const ends = subscriptionEvents(goes);
    stays.subscribe();
    goes.subscribe();
    anna.connect();
    assert.equal((await ends.first('unsubscribed')).code, 2000);
    assert.equal(stays.state, 'subscribed');
    assert.equal(anna.state, 'connected');
  });
});
