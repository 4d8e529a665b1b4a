// What goes wrong in the life of a client: it reads too slowly, its server stops.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';

import {
  ENCODINGS, Events, TRANSPORT_CLOSED, client, clientEvents, connected, freshChannel, startProxy,
  startServer, subscribed, subscriptionEvents, token, watchedSocket, within,
} from './harness.mjs';

const numbersTo = (count) => Array.from({ length: count }, (_, index) => index + 1);

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  test(`${encoding.name}: a slow reader is closed with 3008 and recovers, others notice nothing`, async (t) => {
    const server = await startServer({ outboxBytes: 65_536 });
    t.after(() => server.stop());
    const proxy = await startProxy(server.port);
    t.after(() => proxy.stop());
    const channel = freshChannel('wide');
    const anna = await connected(t, encoding, proxy.url, 'anna');
    const fate = clientEvents(anna);
    const slow = subscriptionEvents(await subscribed(anna, channel, { recoverable: true }));
    const ben = await connected(t, encoding, server.url, 'ben');
    const his = await subscribed(ben, channel);
    const others = subscriptionEvents(his);

    proxy.stopReading();
    // Until the kernel takes no more for a socket that is not read, and the outbox is
    // full; and then less than what a subscribe recovers.
    const filler = 'x'.repeat(30_000);
    let count = 0;
    const sayTen = async () => {
      for (let ten = 0; ten < 10; ten++) await his.publish(pack({ number: ++count, filler }));
    };
    const isClosed = async () => /^chat_slow_consumer_evicted_total 1$/m.test(await server.metrics());
    while (!(await isClosed())) {
      assert.ok(count < 2_000, 'a reader that reads nothing is closed');
      await sayTen();
    }
    await sayTen();
    const seen = await others.atLeast(count, 'publication');
    assert.deepEqual(seen.map(({ data }) => unpack(data).number), numbersTo(count));

    proxy.readAgain();
    assert.equal((await fate.first('connecting')).code, 3008);
    const again = await slow.first('subscribed', ({ wasRecovering }) => wasRecovering);
    assert.ok(again.recovered);
    const all = await slow.atLeast(count, 'publication');
    assert.deepEqual(all.map(({ data }) => unpack(data).number), numbersTo(count));
    assert.equal(slow.of('publication').length, count);
  });

  test(`${encoding.name}: pings are answered, and the connection stays`, async (t) => {
    // Who does not answer is closed after a third of the interval.
    const server = await startServer({ pingMs: 900 });
    t.after(() => server.stop());
    const beat = new EventEmitter();
    const beats = new Events(beat, ['ping', 'pong']);
    const anna = client(t, encoding, server.url, {
      token: token({ sub: 'anna' }),
      websocket: watchedSocket(beat),
      // The SDK leaves a server that it does not hear from.
      maxServerPingDelay: 900,
    });
    const fate = clientEvents(anna);
    anna.connect();
    await beats.atLeast(4, 'ping');
    await beats.atLeast(4, 'pong');
    assert.deepEqual(fate.seen.map(({ name }) => name), ['connecting', 'connected', 'subscribed']);
  });

  test(`${encoding.name}: a drained server sends its clients to the next one`, async (t) => {
    const first = await startServer();
    t.after(() => first.stop());
    const clients = [];
    for (let number = 0; number < 10; number++) {
      // Between the two servers nobody listens.
      const mayMeet = [TRANSPORT_CLOSED];
      const one = await connected(t, encoding, first.url, `user-${number}`, { mayMeet });
      clients.push({ one, fate: clientEvents(one) });
    }
    first.signal('SIGTERM');
    const codes = await Promise.all(clients.map(({ fate }) => fate.first('connecting')));
    assert.deepEqual(codes.map(({ code }) => code), Array(10).fill(3001));
    // Each is told when to come again, so that not all come at once.
    const waits = codes.map(({ reason }) => Number(/ retry_after_ms=(\d+)$/.exec(reason)?.[1]));
    assert.ok(waits.every((wait) => wait < 3000), waits.join());
    assert.ok(new Set(waits).size > 5, waits.join());
    const { code } = await within(first.exited, 'the drained server to end');
    assert.equal(code, 0);

    const second = await startServer({ port: first.port });
    t.after(() => second.stop());
    await Promise.all(clients.map(({ fate }) => fate.first('connected')));
    const channel = freshChannel();
    const room = await subscribed(clients[0].one, channel);
    const events = subscriptionEvents(await subscribed(clients[1].one, channel));
    await room.publish(pack({ back: true }));
    assert.deepEqual(unpack((await events.first('publication')).data), { back: true });
  });
}
