// What users react to messages with: kept with these, told, and shown in histories.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, SERVER_GONE, arrivalIn, chatIn, connected, freshChannel, freshUser, refusal,
  startServer, subscribed, token, within,
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
  const reacted = async (events, test) => {
    const is = ({ data }) => unpack(data).reacted && test(unpack(data).reacted);
    return unpack((await events.first('message', is)).data).reacted;
  };
  // Each message of a history with what it is reacted to with.
  const shown = async (subscription) => {
    const { publications } = await subscription.history({ limit: 100 });
    return publications.map(({ offset, tags }) =>
      [offset, tags?.reactions && JSON.parse(tags.reactions)]);
  };

  describe(`centrifuge, ${encoding.name}, reactions`, () => {
    for (const namespace of ['kept', 'room']) {
      test(`one a user, in ${namespace}:`, async (t) => {
        const own = await startServer();
        t.after(() => own.stop());
        const mayMeet = SERVER_GONE;
        const channel = freshChannel(namespace);
        const anna = await connected(t, encoding, own.url, 'anna', { mayMeet });
        const hers = await subscribed(anna, channel);
        const ben = await arrives(t, own.url, 'ben', { mayMeet });
        const his = await subscribed(ben.client, channel);
        for (const number of [1, 2, 3, 4]) {
          await chat(anna, 'publish', { channel, data: { number } });
        }
        const react = (client, offset, value) => chat(client, 'react', { channel, offset, value });
        // The first is on disk alone, the last in memory, too.
        for (const offset of [1, 4]) {
          assert.deepEqual(await react(anna, offset, '👍'), {});
          const heard = await reacted(ben.events, (one) => one.offset === offset);
          assert.deepEqual(heard.totals, [{ value: '👍', count: 1 }]);
        }
        await react(ben.client, 4, 'no');
        await react(ben.client, 4, '👍');
        await react(ben.client, 2, 'no');
        await react(ben.client, 2, null);
        const two = [{ value: '👍', count: 2 }];
        await reacted(ben.events, (one) => one.offset === 4 && one.totals[0]?.count === 2);
        const entry = (totals, own) => (own ? { totals, own } : { totals });
        const one = [{ value: '👍', count: 1 }];
        const forAnna = [[1, entry(one, '👍')], [2, undefined], [3, undefined], [4, entry(two, '👍')]];
        const forBen = [[1, entry(one)], [2, undefined], [3, undefined], [4, entry(two, '👍')]];
        assert.deepEqual(await shown(hers), forAnna);
        assert.deepEqual(await shown(his), forBen);
        const asked = await chat(ben.client, 'reactions', { channel, offsets: [4, 3, 1, 99] });
        assert.deepEqual(asked.messages,
          [{ offset: 1, totals: one }, { offset: 4, totals: two, own: '👍' }]);

        await chat(anna, 'retract', { channel, offset: 4 });
        for (const offset of [4, 5, 99]) {
          const says = await refusal(react(ben.client, offset, '👍'));
          assert.deepEqual([says.code, says.message], [107, 'bad request: offset']);
        }
        assert.deepEqual((await shown(his)).map(([, tag]) => Boolean(tag)),
          [true, false, false, false, false], 'what is taken back has no reactions');
        if (namespace === 'kept') {
          await own.kill();
          await own.startAgain();
          await within(his.ready(), 'ben to be back');
          assert.deepEqual((await shown(his))[0], [1, entry(one)]);
        }
      });
    }

    test('limits have answers', async (t) => {
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, server.url, 'anna');
      await subscribed(anna, channel);
      await chat(anna, 'publish', { channel, data: {} });
      const react = (client, value) => chat(client, 'react', { channel, offset: 1, value });
      const users = [];
      for (let kind = 0; kind < 20; kind += 1) {
        const client = await connected(t, encoding, server.url, freshUser('kind'));
        await subscribed(client, channel);
        await react(client, `k${kind}`);
        users.push(client);
      }
      assert.equal((await refusal(react(anna, 'new'))).code, 106);
      await react(users[3], null);
      await react(anna, 'new');
      for (const wrong of ['x'.repeat(33), 'a\n', 7]) {
        const says = await refusal(react(anna, wrong));
        assert.deepEqual([says.code, says.message], [107, 'bad request: value']);
      }
    });

    test('who may not read the history does not react', async (t) => {
      const channel = freshChannel('kept');
      const anna = await connected(t, encoding, server.url, 'anna');
      await subscribed(anna, channel);
      await chat(anna, 'publish', { channel, data: {} });
      const caps = [{ channels: [channel], allow: ['hst'] }];
      const may = await connected(t, encoding, server.url, 'mia', { token: token({ sub: 'mia', caps }) });
      const none = await connected(t, encoding, server.url, 'mia');
      const fields = { channel, offset: 1, value: '👍' };
      assert.deepEqual(await chat(may, 'react', fields), {});
      for (const [method, data] of [['react', fields], ['reactions', { channel, offsets: [1] }]]) {
        assert.equal((await refusal(chat(none, method, data))).code, 103);
      }
    });

    test('both of a conversation hear of it in their inboxes', async (t) => {
      const [anna, ben] = ['anna', 'ben'].map(freshUser);
      const hers = await arrives(t, server.url, anna);
      const his = await arrives(t, server.url, ben);
      const { channel } = await chat(hers.client, 'send', { to: ben, data: { number: 1 } });
      await his.events.first('publication');
      await chat(his.client, 'react', { channel, offset: 1, value: '👍' });
      for (const { events } of [hers, his]) {
        const heard = await reacted(events, (one) => one.channel === channel);
        const totals = [{ value: '👍', count: 1 }];
        assert.deepEqual(heard, { channel, offset: 1, user: ben, value: '👍', totals });
      }
    });
  });
}
