// A message's trace: what a browser's tracer gives at publish comes back to readers, and
// goes to the collector.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, connected, freshChannel, freshUser, startServer, subscribed, subscriptionEvents,
  within,
} from './harness.mjs';

const PARENT = 'b7ad6b7169203331';

// A collector that keeps the bytes of each request.
async function startCollector() {
  const collector = { bodies: [], waiting: [] };
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      collector.bodies.push(Buffer.concat(parts));
      response.end();
      collector.waiting = collector.waiting.filter((look) => !look());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  collector.endpoint = `http://127.0.0.1:${server.address().port}/v1/traces`;
  collector.stop = () => server.close();
  // A request that has all of these bytes in it.
  collector.with = (...needles) => {
    const found = () => collector.bodies.some((body) => needles.every((one) => body.includes(one)));
    if (found()) return Promise.resolve();
    const wait = new Promise((resolve) => {
      collector.waiting.push(() => found() && (resolve(), true));
    });
    return within(wait, 'spans at the collector');
  };
  return collector;
}

let collector;
let server;
before(async () => {
  collector = await startCollector();
  server = await startServer({ otlpEndpoint: collector.endpoint });
});
after(async () => {
  await server.stop();
  collector.stop();
});

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  describe(`centrifuge, ${encoding.name}, traced`, () => {
    test('a traceparent comes back to readers and leads to the collector', async (t) => {
      const trace = [...crypto.getRandomValues(new Uint8Array(16))]
        .map((byte) => byte.toString(16).padStart(2, '0')).join('');
      const traceparent = `00-${trace}-${PARENT}-01`;
      const channel = freshChannel();
      const ann = await connected(t, encoding, server.url, freshUser('ann'));
      const bob = await connected(t, encoding, server.url, freshUser('bob'));
      await subscribed(ann, channel);
      const events = subscriptionEvents(await subscribed(bob, channel));
      const fields = { channel, data: { n: 1 }, traceparent, sent_at_ms: Date.now() };
      await within(ann.rpc('chat.publish', pack(fields)), 'chat.publish');
      const { data, tags } = await events.first('publication');
      assert.deepEqual(unpack(data), { n: 1 });
      assert.equal(tags.traceparent, traceparent);
      await collector.with(Buffer.from(trace, 'hex'), Buffer.from(PARENT, 'hex'));
      await collector.with(Buffer.from(trace, 'hex'), Buffer.from('deliver'));
    });
  });
}
