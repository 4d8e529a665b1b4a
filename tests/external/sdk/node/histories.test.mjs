// What was said in several channels, asked in one call.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  ENCODINGS, chatIn, connected, freshChannel, freshUser, refusal, startServer, subscribed,
} from './harness.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

for (const encoding of ENCODINGS) {
  const chat = chatIn(encoding);

  describe(`centrifuge, ${encoding.name}, several histories`, () => {
    test('each channel has a page of its own, or says why not', async (t) => {
      const anna = await connected(t, encoding, server.url, freshUser('anna'));
      // Of rooms on both cores, in memory and on disk.
      const channels = [...Array(24).keys()].map((number) =>
        freshChannel(number % 2 ? 'kept' : 'room'));
      const epochs = new Map();
      for (const [index, channel] of channels.entries()) {
        await subscribed(anna, channel);
        for (let number = 0; number < index % 4; number++) {
          const { epoch } = await chat(anna, 'publish', { channel, data: { number } });
          epochs.set(channel, epoch);
        }
      }
      const { channels: pages } = await chat(anna, 'history', { channels, limit: 2 });
      assert.deepEqual(pages.map(({ channel }) => channel), channels);
      for (const [index, { channel, publications, offset, epoch }] of pages.entries()) {
        assert.equal(offset, index % 4);
        assert.deepEqual(publications.map(({ data }) => data.number), [0, 1].slice(0, index % 4));
        if (offset > 0) assert.equal(epoch, epochs.get(channel));
      }
      const behind = channels.filter((_, index) => index % 4 === 3)
        .map((channel) => ({ channel, offset: 2, epoch: epochs.get(channel) }));
      const hidden = [freshChannel('closed'), freshChannel('short'), 'none:1', 'dm#body,some'];
      const { channels: rest } = await chat(anna, 'history', { channels: [...behind, ...hidden] });
      assert.deepEqual(rest.slice(0, behind.length).map(({ publications }) =>
        publications.map(({ data, offset }) => [offset, data.number])), behind.map(() => [[3, 2]]));
      assert.deepEqual(rest.slice(behind.length).map(({ error }) => error.code), [108, 103, 102, 103]);
      const lost = { ...behind[0], epoch: 'ffffffff' };
      const { channels: [{ error }] } = await chat(anna, 'history', { channels: [lost] });
      assert.deepEqual(error, { code: 112, message: 'unrecoverable position' });
    });

    test('what one answer cannot hold is named, and read by the next', async (t) => {
      const anna = await connected(t, encoding, server.url, freshUser('anna'));
      const channels = [...Array(5).keys()].map(() => freshChannel('kept'));
      for (const channel of channels) {
        await subscribed(anna, channel);
        for (let number = 0; number < 4; number++) {
          await chat(anna, 'publish', { channel, data: 'x'.repeat(50_000) });
        }
      }
      let wanted = channels;
      const read = [];
      while (wanted.length > 0) {
        const { channels: pages } = await chat(anna, 'history', { channels: wanted, reverse: true });
        const whole = pages.filter(({ truncated }) => !truncated);
        assert.ok(whole.length > 0 && whole.length <= 2);
        for (const { channel, publications } of whole) {
          assert.deepEqual(publications.map(({ offset }) => offset), [4, 3, 2, 1]);
          read.push(channel);
        }
        wanted = pages.filter(({ truncated }) => truncated).map(({ channel }) => channel);
      }
      assert.deepEqual(read.sort(), channels.sort());
    });

    test('a list that cannot be right is refused as a whole', async (t) => {
      const anna = await connected(t, encoding, server.url, freshUser('anna'));
      const names = (count) => [...Array(count).keys()].map((number) => `room:${number}`);
      for (const channels of [[], names(51), ['room:1', 'room:1'], [''], [1], 'room:1']) {
        const { code, message } = await refusal(chat(anna, 'history', { channels }));
        assert.deepEqual([code, message], [107, 'bad request: channels']);
      }
      assert.equal((await chat(anna, 'history', { channels: names(50) })).channels.length, 50);
    });
  });
}
