// What was said arrives once, and in its order.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Outbox, entriesOf, type Deed } from '../src/index.js';

const put = (outbox: Outbox, id: string, channel = 'room:1', deed: Deed = { kind: 'say' }) =>
  outbox.add({ id, channel, text: id, attachments: [], time: 0, deed });
const states = (outbox: Outbox) => outbox.entries.map(({ id, state }) => `${id} ${state}`);
const taken = (outbox: Outbox) => outbox.take().map(({ id }) => id);

describe('what is kept over a reload', () => {
  test('is all that the server may not have, and goes again with its id', () => {
    const outbox = new Outbox();
    put(outbox, 'a');
    put(outbox, 'b', 'room:2');
    put(outbox, 'c', 'room:3', { kind: 'edit', offset: 7 });
    put(outbox, 'd', 'room:4');
    outbox.take();
    outbox.answered('b', 1, false);
    outbox.refused('d', { code: 103, message: 'permission denied' });
    const again = new Outbox();
    again.restore(entriesOf(JSON.parse(JSON.stringify(outbox.unsent))));
    assert.deepEqual(states(again), ['a waiting', 'c waiting', 'd failed']);
    assert.deepEqual(again.entries.map(({ deed }) => deed.kind), ['say', 'edit', 'say']);
    assert.equal(again.entries[2]?.error, '103 permission denied');
    assert.deepEqual(again.take((channel) => channel !== 'room:1').map(({ id }) => id), ['c']);
    again.forget('room:1');
    assert.deepEqual(states(again), ['c sending', 'd failed']);
  });

  test('has a bound, and what is no entry is left out', () => {
    const outbox = new Outbox();
    for (let number = 0; number < 120; number += 1) put(outbox, `${number}`, `room:${number}`);
    assert.deepEqual([outbox.unsent.length, outbox.unsent[0]?.id], [100, '20']);
    outbox.add({ id: 'long', channel: 'c', text: 'w'.repeat(100_000), attachments: [], time: 0, deed: { kind: 'say' } });
    assert.deepEqual(outbox.unsent.map(({ id }) => id), ['long']);
    const good = { id: 'a', channel: 'c', text: 't', attachments: [], time: 1, deed: { kind: 'say' } };
    const bad = [null, 1, {}, { ...good, id: '' }, { ...good, text: 1 }, { ...good, deed: { kind: 'dance' } },
      { ...good, deed: { kind: 'edit' } }, { ...good, time: '1' }, { ...good, channel: null }];
    assert.deepEqual(entriesOf([...bad, good]).map(({ id, state }) => `${id} ${state}`), ['a waiting']);
    const script = { ...good, attachments: [{ url: 'javascript:alert(1)', name: 'x' }] };
    assert.deepEqual(entriesOf([script])[0]?.attachments, []);
    for (const other of [null, 'x', {}]) assert.deepEqual(entriesOf(other), []);
  });
});

describe('an outbox', () => {
  test('has one entry of each conversation under way, in order', () => {
    const outbox = new Outbox();
    put(outbox, 'a');
    put(outbox, 'b');
    put(outbox, 'c', 'room:2');
    assert.deepEqual(taken(outbox), ['a', 'c']);
    assert.deepEqual(taken(outbox), []);
    outbox.answered('a', 1, false);
    assert.deepEqual(taken(outbox), ['b']);
    assert.deepEqual(states(outbox), ['a sent', 'b sending', 'c sending']);
  });

  test('an entry goes when its publication comes, before or behind the answer', () => {
    const outbox = new Outbox();
    for (const id of ['a', 'b', 'c', 'd']) put(outbox, id, `room:${id}`);
    outbox.take();
    outbox.arrived('room:a', 'a');
    outbox.answered('a', 1, true);
    outbox.answered('b', 1, false);
    outbox.arrived('room:other', 'b');
    assert.deepEqual(states(outbox), ['b sent', 'c sending', 'd sending']);
    outbox.arrived('room:b', 'b');
    outbox.answered('c', 7, true);
    outbox.answered('d', 7, false);
    outbox.loaded('room:d', 6);
    assert.deepEqual(states(outbox), ['d sent']);
    outbox.loaded('room:d', 7);
    assert.deepEqual(states(outbox), []);
  });

  test('what was not answered goes again with its id, before what comes behind it', () => {
    const outbox = new Outbox();
    put(outbox, 'a');
    put(outbox, 'b');
    for (const [code, want] of [[2, 'when-connected'], [1, 'later'], [11, 'when-connected']] as const) {
      assert.deepEqual(taken(outbox), ['a']);
      assert.equal(outbox.refused('a', { code, message: 'no answer' }).kind, want);
    }
    assert.deepEqual(states(outbox), ['a waiting', 'b waiting']);
    assert.deepEqual(taken(outbox), ['a']);
    assert.deepEqual(outbox.refused('a', { code: 111, message: 'slower', temporary: true }),
      { kind: 'later', waitMs: 4000 });
  });

  test('what is refused for good says why, holds nobody up, and can be tried again', () => {
    const outbox = new Outbox();
    put(outbox, 'a');
    put(outbox, 'b');
    outbox.take();
    assert.equal(outbox.refused('a', { code: 103, message: 'permission denied' }).kind, 'failed');
    assert.equal(outbox.entries[0]!.error, '103 permission denied');
    assert.deepEqual(taken(outbox), ['b']);
    outbox.discard('b');
    assert.deepEqual(states(outbox), ['a failed', 'b sending'], 'under way is under way');
    outbox.answered('b', 1, true);
    outbox.retry('a');
    assert.deepEqual(taken(outbox), ['a']);
    outbox.refused('a', { code: 103, message: 'permission denied' });
    outbox.discard('a');
    assert.deepEqual(states(outbox), []);
  });

  test('an edit is over with its answer, and so is what nobody keeps', () => {
    const outbox = new Outbox();
    put(outbox, 'a', 'room:1', { kind: 'edit', offset: 3 });
    put(outbox, 'b', 'room:2');
    outbox.take();
    outbox.answered('a', 9, false);
    outbox.answered('b', 0, false);
    assert.deepEqual(states(outbox), []);
  });
});
