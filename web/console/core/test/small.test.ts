// Numbers as text, when to ask again, and how far a drain is.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { DrainWatch, Polling, formats, outcomeOf } from '../src/index.js';
import { sample } from './samples.js';

describe('a number is written', () => {
  const en = formats('en', 'UTC');
  const zh = formats('zh-CN', 'UTC');

  test('whole while it is short, and rounded when it is not', () => {
    assert.deepEqual([0, 9999, 10_000, 1_000_000].map(en.count), ['0', '9,999', '10K', '1M']);
    assert.deepEqual([9999, 10_000, 1_000_000].map(zh.count), ['9,999', '1万', '100万']);
    assert.deepEqual([0, 0.25, 1234.5, 48_300].map(en.perSecond), ['0/s', '0.25/s', '1,230/s', '48.3K/s']);
  });

  test('in the unit that fits', () => {
    assert.deepEqual([0, 1023, 1024, 1.5 * 2 ** 30, 2 ** 60].map(en.bytes),
      ['0 B', '1,023 B', '1 KiB', '1.5 GiB', '1,020 PiB']);
    assert.deepEqual([0, 0.034, 0.5, 1.25, 63.9].map(en.amount), ['0', '0.03', '0.5', '1.25', '63.9']);
    assert.equal(en.of('bytes-per-second', 2048), '2 KiB/s');
    assert.deepEqual([0, 0.000_25, 0.012, 1.5].map(en.seconds), ['0 ms', '250 µs', '12 ms', '1.5 s']);
    assert.deepEqual([0, 0.0234, 1].map(en.share), ['0%', '2.3%', '100%']);
    assert.deepEqual([0, 59.6, 3600, 90_061, 86_400, -5].map(en.span),
      ['0 s', '1 m', '1 h', '1 d 1 h', '1 d', '0 s']);
  });

  test('as a dash where it is not known', () => {
    for (const unit of ['count', 'amount', 'per-second', 'seconds', 'share', 'bytes', 'bytes-per-second'] as const) {
      assert.equal(en.of(unit, null), '–');
      assert.equal(en.of(unit, Number.NaN), '–');
      assert.notEqual(en.of(unit, 7), '–');
    }
  });

  test('as a time of its zone', () => {
    assert.equal(formats('en-GB', 'Asia/Shanghai').time(0), '08:00:00');
    assert.equal(formats('zh-CN', 'UTC').moment(0).startsWith('1970/1/1'), true);
  });
});

describe('the server is asked again', () => {
  test('in its time while it answers, and seldom while it does not', () => {
    const polling = new Polling(2000);
    assert.equal(polling.next({ kind: 'good' }), 2000);
    const waits = Array.from({ length: 6 }, () => polling.next({ kind: 'failed' }));
    assert.deepEqual(waits, [2000, 4000, 8000, 16_000, 30_000, 30_000]);
    assert.equal(polling.failures, 6);
    assert.equal(polling.next({ kind: 'good' }), 2000);
    assert.equal(polling.failures, 0);
  });

  test('when it said so, within reason', () => {
    const polling = new Polling(2000);
    assert.equal(polling.next({ kind: 'later', afterSeconds: 5 }), 5000);
    assert.equal(polling.next({ kind: 'later', afterSeconds: 3600 }), 30_000);
    assert.equal(polling.next({ kind: 'later', afterSeconds: null }), 8000);
  });

  test('not while nobody looks, nobody is signed in, or it refused', () => {
    const polling = new Polling(2000);
    assert.equal(polling.next({ kind: 'signed-out' }), null);
    assert.equal(polling.next({ kind: 'refused', status: 403, text: '' }), null);
    polling.setSeen(false);
    assert.equal(polling.next({ kind: 'good' }), null);
    polling.setSeen(true);
    assert.equal(polling.next({ kind: 'good' }), 2000);
  });

  test('as its status says', () => {
    assert.deepEqual(outcomeOf(204, '', null), { kind: 'good' });
    assert.deepEqual(outcomeOf(401, '', null), { kind: 'signed-out' });
    assert.deepEqual(outcomeOf(429, '', '7'), { kind: 'later', afterSeconds: 7 });
    assert.deepEqual(outcomeOf(503, '', 'soon'), { kind: 'later', afterSeconds: null });
    assert.deepEqual(outcomeOf(504, '', null), { kind: 'failed' });
    assert.deepEqual(outcomeOf(400, 'user', null), { kind: 'refused', status: 400, text: 'user' });
  });
});

test('a drain is as far as those who were there are gone', () => {
  const watch = new DrainWatch();
  const at = (atMs: number, connections: number, isDraining = true) => watch.on(sample({
    atMs,
    cores: { connections: [connections, 0] },
    drain: isDraining ? { began_unix_ms: 1000, over_ms: 30_000 } : null,
  }));
  assert.equal(at(500, 90, false), null);
  assert.deepEqual(at(1500, 80), { left: 80, first: 80, gone: 0, passedMs: 500, leftMs: 29_500 });
  assert.equal(at(2000, 100)!.first, 100);
  assert.equal(at(9000, 25)!.gone, 0.75);
  assert.deepEqual(at(40_000, 0), { left: 0, first: 100, gone: 1, passedMs: 39_000, leftMs: 0 });
  assert.equal(at(500, 0, false), null);
  assert.equal(at(1500, 0)!.gone, 1);
});
