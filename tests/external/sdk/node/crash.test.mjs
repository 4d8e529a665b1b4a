// The promise of an answer, as users of the JavaScript SDK have it: the server is killed
// at random moments while they talk, and what was answered is there, once, in order, at
// its place; who reads misses nothing, and a direct message arrives.
//
// CRASHES says how often (5 where nothing is said); BENCH is a rookery-bench that loads
// the same server meanwhile. `make crash` has more of the first, and the second.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

import {
  ENCODINGS, SECRET, SERVER_GONE, clientEvents, connected, startServer, subscribed,
  subscriptionEvents, token, within,
} from './harness.mjs';

const CRASHES = Number(process.env.CRASHES ?? 5);
const LIFE_MS_MAX = 300;
const AUTHORS = ['anna', 'ben', 'carl'];

// Beside what the SDK meets when the server is gone: a store that is read again answers
// that it cannot now, and the SDK tries again by itself.
const MAY_MEET = [...SERVER_GONE, 100];

for (const encoding of ENCODINGS) {
  const { pack, unpack } = encoding;

  // The answer to one of chat's methods, however often it has to be asked: the same id
  // makes the same message.
  const until = async (client, method, fields) => {
    for (;;) {
      try {
        const { data } = await client.rpc(`chat.${method}`, pack(fields));
        return unpack(data);
      } catch (error) {
        assert.ok(error.code < 100 || error.temporary, JSON.stringify(error));
        await client.ready();
      }
    }
  };

  test(`${encoding.name}: what was answered survives ${CRASHES} crashes`, async (t) => {
    const server = await startServer({ durable: true, ackWaitMs: 1_000 });
    t.after(() => server.stop());
    const channel = 'kept:crash';
    // Authors are not in the room: each time they come back they may publish at once.
    const caps = [{ channels: [channel], allow: ['pub'] }];
    const arrives = (user) =>
      connected(t, encoding, server.url, user, {
        mayMeet: MAY_MEET, listen: clientEvents, token: token({ sub: user, caps }),
      });
    const reader = await arrives('dora');
    const read = subscriptionEvents(await subscribed(reader, channel, { recoverable: true }));
    const inbox = reader.heard;
    reader.on('publication', ({ tags }) => {
      const place = { channel: tags.channel, offset: Number(tags.offset) };
      // A lost acknowledgement is asked for by the message itself: it comes again.
      reader.rpc('chat.ack', pack(place)).catch(() => {});
    });

    // The stream begins now: that of a channel without a message has nothing on disk, and
    // who was at its beginning is told so.
    await until(reader, 'publish', { channel, data: { id: 'dora-1' }, id: 'dora-1' });
    await read.first('publication');

    let isOver = false;
    const author = async (user) => {
      const client = await arrives(user);
      const said = [];
      for (let n = 1; !isOver || n <= 3; n++) {
        const id = `${user}-${n}`;
        const { offset } = await until(client, 'publish', { channel, data: { id }, id });
        const sent = await until(client, 'send', { to: 'dora', data: { id }, id });
        said.push({ id, offset, direct: sent.offset });
      }
      return said;
    };
    const authors = AUTHORS.map(author);
    // One that fails ends the test where it is waited for.
    authors.forEach((one) => one.catch(() => {}));
    for (let crash = 0; crash < CRASHES; crash++) {
      const noise = load(server);
      // The moment of the crash is what is random here; nothing waits for it.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LIFE_MS_MAX));
      await server.kill();
      await noise?.end();
      await server.startAgain();
    }
    isOver = true;
    const said = (await Promise.all(authors)).flat();
    const begun = { id: 'dora-1', offset: 1 };

    // Everybody read all, once, in order.
    const seen = await read.atLeast(said.length + 1, 'publication');
    assert.deepEqual(seen.map(({ offset }) => offset), seen.map((_, index) => index + 1));
    const shown = (list) => list.map(({ data, offset }) => ({ id: unpack(data).id, offset }));
    const byPlace = [begun, ...said.map(({ id, offset }) => ({ id, offset }))];
    byPlace.sort((a, b) => a.offset - b.offset);
    assert.deepEqual(shown(seen), byPlace);
    // And the history says the same to who never was there.
    const judge = await connected(t, encoding, server.url, 'emil', { mayMeet: MAY_MEET });
    const room = await subscribed(judge, channel);
    const { epoch } = await room.history();
    const all = [];
    for (;;) {
      const since = { offset: all.length, epoch };
      const { publications } = await room.history({ limit: 1000, since });
      if (publications.length === 0) break;
      all.push(...publications);
    }
    assert.deepEqual(shown(all), byPlace);
    // Each direct message arrived, and none waits for ever.
    for (const { id, direct } of said) {
      const pair = `dm#${[id.split('-')[0], 'dora'].sort().join(',')}`;
      const it = ({ tags }) => tags?.channel === pair && Number(tags.offset) === direct;
      const arrived = await inbox.first('publication', it);
      assert.equal(unpack(arrived.data).id, id);
    }
    t.diagnostic(`${said.length} answered in each way, ${CRASHES} crashes`);
  });
}

// What rookery-bench does to the server in one of its lives. That its connections end is
// what happens here, so how it ends says nothing.
function load({ url }) {
  if (!process.env.BENCH) return null;
  const flags = ['echo', '--url', url, '--secret', SECRET, '-n', '50', '--active', '50',
    '--rate', '500', '--measure-ms', '60000'];
  const child = spawn(process.env.BENCH, flags, { stdio: 'ignore' });
  return {
    end: async () => {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill();
      await within(exited, 'the end of the load');
    },
  };
}
