// A message gets other words: who learns of it, and what becomes of the old ones.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, SERVER_GONE, arrivalIn, chatIn, connected, freshChannel, freshUser, refusal,
  startServer, subscribed, subscriptionEvents, token, within,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

for (const encoding of ENCODINGS) {
  const { unpack } = encoding;
  const chat = chatIn(encoding);
  const arrives = arrivalIn(encoding);
  // What a reader sees of a message: its place, its words, and what they are of.
  const seen = ({ offset, data, tags }) => [offset, unpack(data), tags.edits ?? tags.edit_offset];

  describe(`centrifuge, ${encoding.name}, edits`, () => {
    for (const namespace of ['kept', 'room']) {
      test(`who was away when a message was edited recovers that, in ${namespace}:`, async (t) => {
        const channel = freshChannel(namespace);
        const anna = await connected(t, encoding, server.url, 'anna');
        await subscribed(anna, channel);
        const ben = await arrives(t, server.url, 'ben');
        const his = await subscribed(ben.client, channel, { recoverable: true });
        const events = subscriptionEvents(his);
        for (const number of [1, 2, 3, 4]) {
          await chat(anna, 'publish', { channel, data: { number }, id: `n-${number}` });
        }
        await events.first('publication', ({ offset }) => offset === 4);
        ben.client.disconnect();

        const began = Date.now();
        const edit = { channel, offset: 1, data: { number: 10 }, id: 'e-1' };
        const first = await chat(anna, 'edit', edit);
        assert.deepEqual([first.channel, first.offset, first.id], [channel, 5, 'e-1']);
        assert.deepEqual(await chat(anna, 'edit', edit), first, 'the same id again');
        assert.equal((await chat(anna, 'edit', { channel, offset: 4, data: 40 })).offset, 6);
        assert.equal((await chat(anna, 'edit', { channel, offset: 1, data: 11 })).offset, 7);

        ben.client.connect();
        await events.first('publication', ({ offset }) => offset === 7);
        assert.deepEqual(events.of('publication').slice(4).map(seen), [
          [5, { edited: 1 }, '1'], [6, 40, '4'], [7, 11, '1'],
        ]);
        const all = (await his.history({ limit: 100 })).publications;
        assert.deepEqual(all.map(seen), [
          [1, 11, '7'], [2, { number: 2 }, undefined], [3, { number: 3 }, undefined],
          [4, 40, '6'], [5, { edited: 1 }, '1'], [6, 40, '4'], [7, 11, '1'],
        ]);
        const [{ tags, info }] = all;
        assert.deepEqual([tags.id, info.user], ['n-1', 'anna']);
        assert.ok(began <= Number(tags.edited) + 1000 && Number(tags.edited) <= Date.now() + 1000);
        assert.equal(all[4].tags.superseded, 'true');
      });
    }

    test('the words of an edit survive the server, and are gone when they are taken back', async (t) => {
      const own = await startServer();
      t.after(() => own.stop());
      const mayMeet = SERVER_GONE;
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, own.url, 'anna', { mayMeet });
      const hers = await subscribed(anna, channel);
      for (const number of [1, 2, 3]) await chat(anna, 'publish', { channel, data: { number } });
      const edit = { channel, offset: 1, data: 'secret', id: 'one' };
      const answer = await chat(anna, 'edit', edit);
      await own.kill();
      await own.startAgain();
      await within(hers.ready(), 'anna to be back');
      assert.deepEqual(await chat(anna, 'edit', edit), answer);
      const words = async () =>
        (await hers.history({ limit: 100 })).publications.map(({ data }) => unpack(data));
      assert.deepEqual(await words(),
        ['secret', { number: 2 }, { number: 3 }, 'secret']);
      await chat(anna, 'retract', { channel, offset: 1 });
      const left = [
        { retracted: true }, { number: 2 }, { number: 3 }, { edited: 1 }, { retracted: 1 },
      ];
      assert.deepEqual(await words(), left);
      await own.kill();
      await own.startAgain();
      await within(hers.ready(), 'anna to be back');
      assert.deepEqual(await words(), left);
      const { message } = await refusal(chat(anna, 'edit', { channel, offset: 1, data: 1 }));
      assert.equal(message, 'bad request: offset');
    });

    test('nobody edits what others said, nor what is not there', async (t) => {
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, server.url, 'anna');
      await subscribed(anna, channel);
      const ben = await connected(t, encoding, server.url, 'ben', {
        token: token({ sub: 'ben', caps: [{ channels: [channel], allow: ['pub', 'mod'] }] }),
      });
      await subscribed(ben, channel);
      await chat(anna, 'publish', { channel, data: 1, id: 'm-1' });
      await chat(anna, 'edit', { channel, offset: 1, data: 2 });
      for (const [client, fields, code, says] of [
        [ben, { channel, offset: 1, data: 3 }, 103, 'permission denied'],
        [anna, { channel, offset: 2, data: 3 }, 107, 'bad request: offset'],
        [anna, { channel, offset: 3, data: 3 }, 107, 'bad request: offset'],
        [anna, { channel, offset: 0, data: 3 }, 107, 'bad request: offset'],
        [anna, { channel, offset: 1 }, 107, 'bad request: data'],
        [anna, { channel, offset: 1, data: 3, id: 'm-1' }, 107, 'bad request: id'],
        [anna, { channel: freshChannel('closed'), offset: 1, data: 3 }, 103, 'permission denied'],
        [anna, { channel, offset: 1, data: 'x'.repeat(70_000) }, 106, 'limit exceeded'],
      ]) {
        const refused = await refusal(chat(client, 'edit', fields));
        assert.deepEqual([refused.code, refused.message], [code, says]);
      }
    });

    test('a direct message is edited for both, and is not unread again', async (t) => {
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const hers = await arrives(t, server.url, anna);
      const { channel } = await chat(hers.client, 'send', { to: ben, data: { number: 1 } });
      await chat(hers.client, 'edit', { channel, offset: 1, data: { number: 2 } });
      const own = await hers.events.first('publication', (one) => one.tags.edits);
      assert.deepEqual([unpack(own.data), own.tags.channel], [{ number: 2 }, channel]);

      const his = await arrives(t, server.url, ben);
      const edit = await his.events.first('publication', (one) => one.tags.edits);
      assert.deepEqual([edit.tags.channel, edit.tags.offset, edit.tags.edits], [channel, '2', '1']);
      const message = await his.events.first('publication', (one) => one.tags.edit_offset);
      assert.deepEqual([unpack(message.data), message.tags.offset], [{ number: 2 }, '1']);
      const rooms = async (client) => (await chat(client, 'rooms', {})).rooms.map(
        ({ head, read, unread }) => [head, read, unread]);
      assert.deepEqual(await rooms(his.client), [[2, 0, 1]]);
      await chat(his.client, 'read', { channel, offset: 1 });
      assert.deepEqual(await rooms(his.client), [[2, 1, 0]]);
      const refused = await refusal(chat(his.client, 'edit', { channel, offset: 1, data: 3 }));
      assert.equal(refused.code, 103);
    });
  });
}
