// What an application's backend says by hooks, as users of the SDK meet it: who they are, what
// methods of the application answer, where they may come in, and what is published.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, clientEvents, freshChannel, freshUser, client, startServer, subscriptionEvents, within,
} from './harness.mjs';

const HOOKS = ['connect', 'refresh', 'rpc', 'subscribe', 'publish', 'sub_refresh'];

const later = (seconds) => Math.floor(Date.now() / 1000) + seconds;

// What the backend answers, by hook.
const ANSWERS = {
  connect: ({ data }, headers) => {
    if (!data?.user) return { error: { code: 4001, message: 'who are you?' } };
    const answer = { user: data.user, info: { name: data.user }, data: { seen: headers['x-session'] } };
    return { result: { ...answer, expire_at: data.expires ? later(1) : 0, meta: { plan: 'pro' } } };
  },
  refresh: () => ({ result: { expire_at: later(600) } }),
  rpc: ({ method, data, user, meta }) => {
    if (method === 'none') return { error: { code: 4404, message: 'no such method' } };
    return { result: { data: { method, data, user, meta } } };
  },
  subscribe: ({ channel, data }) => {
    if (data?.secret !== 'open') return { error: { code: 4003, message: 'closed' } };
    return { result: { data: { channel }, info: { by: 'hook' } } };
  },
  publish: ({ data }) => {
    if (data.text === 'bad') return { error: { code: 4004, message: 'language' } };
    return { result: { data: { ...data, checked: true } } };
  },
  sub_refresh: () => ({ result: { expire_at: later(600) } }),
};

async function startBackend() {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks));
    // Protobuf clients give bytes; those of these tests are JSON.
    const hook = request.url.split('/').at(-1);
    asked.push({ hook, body });
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(ANSWERS[hook](body, request.headers)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { asked, port: server.address().port, stop: () => server.close() };
}

let backend;
let server;
before(async () => {
  backend = await startBackend();
  const endpoint = (hook) =>
    `[[hooks.endpoints]]\nhook = "${hook}"\nurl = "http://127.0.0.1:${backend.port}/${hook}"\n`;
  const namespace =
    '[[namespaces]]\nname = "hooked"\npublish = "token"\nsubscribe_hook = true\n' +
    'publish_hook = true\nsub_refresh_hook = true\n';
  const headers = '[hooks]\nclient_headers = ["x-session"]\n';
  server = await startServer({ more: `\n${namespace}${HOOKS.map(endpoint).join('')}${headers}` });
});
after(async () => {
  await server.stop();
  backend.stop();
});

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  describe(`hooks, ${encoding.name}`, () => {
    async function connected(t, data, options = {}) {
      const made = client(t, encoding, server.url, { data: pack(data), ...options });
      const events = clientEvents(made);
      made.connect();
      return { made, events, told: await events.first('connected') };
    }

    test('the backend says who a client is, and answers its methods', async (t) => {
      const user = freshUser('anna');
      const { made, told } = await connected(t, { user }, { headers: { 'X-Session': 's1' } });
      assert.deepEqual(unpack(told.data), { seen: 's1' });
      const { data } = await made.rpc('sum', pack([1, 2]));
      assert.deepEqual(unpack(data), { method: 'sum', data: [1, 2], user, meta: { plan: 'pro' } });
      await assert.rejects(made.rpc('none', pack({})), { code: 4404, message: 'no such method' });
    });

    test('who is refused stays away, with the code of the backend', async (t) => {
      const made = client(t, encoding, server.url, { data: pack({}), mayMeet: [4001] });
      const events = clientEvents(made);
      made.connect();
      const { code } = await events.first('disconnected');
      assert.equal(code, 4001);
    });

    test('a connection that expires is prolonged without a token', async (t) => {
      const user = freshUser('anna');
      const { made, events } = await connected(t, { user, expires: true });
      const isAsked = () => backend.asked.some(({ hook, body }) => hook === 'refresh' && body.user === user);
      const asked = (async () => {
        while (!isAsked()) await new Promise((resolve) => setTimeout(resolve, 20));
      })();
      await within(asked, 'the hook refresh');
      await made.rpc('still', pack({}));
      assert.deepEqual(events.of('disconnected'), []);
    });

    test('the backend says who comes in and what is published', async (t) => {
      const channel = freshChannel('hooked');
      const { made } = await connected(t, { user: freshUser('anna') });
      const { made: other } = await connected(t, { user: freshUser('ben') });
      const options = { data: pack({ secret: 'open' }) };
      const rooms = [made, other].map((one) => one.newSubscription(channel, options));
      const events = rooms.map(subscriptionEvents);
      rooms.forEach((room) => room.subscribe());
      const [told] = await Promise.all(events.map((heard) => heard.first('subscribed')));
      assert.deepEqual(unpack(told.data), { channel });
      await rooms[0].publish(pack({ text: 'hello' }));
      const said = await events[1].first('publication');
      assert.deepEqual(unpack(said.data), { text: 'hello', checked: true });
      assert.deepEqual(unpack(said.info.chanInfo), { by: 'hook' });
      await assert.rejects(rooms[0].publish(pack({ text: 'bad' })), { code: 4004, message: 'language' });
      const closed = made.newSubscription(freshChannel('hooked'));
      const refused = subscriptionEvents(closed);
      closed.subscribe();
      assert.equal((await refused.first('unsubscribed')).code, 4003);
    });
  });
}
