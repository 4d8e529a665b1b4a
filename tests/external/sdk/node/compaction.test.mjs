// Channels that pushes call by a number, which SDKs ask for with each subscribe.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import WebSocket from 'ws';

import {
  ENCODINGS, connected, freshChannel, startProxy, startServer, subscribed, subscriptionEvents, within,
} from './harness.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server.stop());

/** The SDK's transport, which keeps what the server sends. */
function keeping(heard) {
  return class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('message', (data) => heard.push(Buffer.from(data).toString('latin1')));
    }
  };
}

for (const encoding of ENCODINGS) {
  describe(`channel compaction, ${encoding.name}`, () => {
    const { pack, unpack } = encoding;
    const numbers = (events) => events.map(({ data }) => unpack(data).number);

    test('messages, joins and leaves of two channels come to the right ones, without names', async (t) => {
      const heard = [];
      const anna = await connected(t, encoding, server.url, 'anna', { websocket: keeping(heard) });
      const ben = await connected(t, encoding, server.url, 'ben');
      const channels = [freshChannel('compact'), freshChannel('compact')];
      const hers = [];
      for (const channel of channels) {
        hers.push(subscriptionEvents(await subscribed(anna, channel, { joinLeave: true })));
      }
      const told = heard.length;
      const his = [];
      for (const [index, channel] of channels.entries()) {
        his.push(await subscribed(ben, channel));
        for (const number of [1, 2]) await his[index].publish(pack({ number: 10 * index + number }));
      }
      for (const [index, events] of hers.entries()) {
        const messages = await events.atLeast(2, 'publication');
        assert.deepEqual(numbers(messages), [10 * index + 1, 10 * index + 2]);
        assert.deepEqual((await events.atLeast(2, 'join')).map(({ info }) => info.user), ['anna', 'ben']);
        his[index].unsubscribe();
        assert.equal((await events.first('leave')).info.user, 'ben');
      }
      const names = heard.slice(told).filter((data) => channels.some((channel) => data.includes(channel)));
      // In Protobuf this SDK asks for numbers and loses what has one, so the server gives it names.
      const expected = encoding.name === 'json' ? 0 : 8;
      assert.equal(names.length, expected);
    });

    test('who has lost its connection, or left and come again, hears its channel', async (t) => {
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const anna = await connected(t, encoding, proxy.url, 'anna');
      const ben = await connected(t, encoding, server.url, 'ben');
      const channel = freshChannel('compact');
      const hers = await subscribed(anna, channel, { recoverable: true });
      const events = subscriptionEvents(hers);
      const his = await subscribed(ben, channel);
      await his.publish(pack({ number: 1 }));
      await events.first('publication');
      proxy.cut();
      await events.first('subscribing');
      await his.publish(pack({ number: 2 }));
      await events.first('subscribed', ({ recovered }) => recovered);
      await his.publish(pack({ number: 3 }));
      assert.deepEqual(numbers(await events.atLeast(3, 'publication')), [1, 2, 3]);
      hers.unsubscribe();
      hers.subscribe();
      await within(hers.ready(), 'the second subscription');
      await his.publish(pack({ number: 4 }));
      await events.first('publication', ({ data }) => unpack(data).number === 4);
    });

    test('a room without numbers calls channels by their names', async (t) => {
      const heard = [];
      const anna = await connected(t, encoding, server.url, 'anna', { websocket: keeping(heard) });
      const channel = freshChannel('room');
      const hers = await subscribed(anna, channel);
      const events = subscriptionEvents(hers);
      const told = heard.length;
      await hers.publish(pack({ number: 1 }));
      await events.first('publication');
      assert.ok(heard.slice(told).some((data) => data.includes(channel)));
    });
  });
}
