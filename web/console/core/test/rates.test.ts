// What happened between two samples.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  bucketsByCore, interval, joined, quantileUs, rate, ratesByCore, rowRate,
} from '../src/index.js';
import { BOUNDS_US, sample } from './samples.js';

describe('a rate', () => {
  test('is what a counter grew by, for each second', () => {
    const before = sample({ atMs: 1000, cores: { opened: [10, 20] }, process: { cpu_ns: 5 }, store: { syncs: 1 } });
    const after = sample({ atMs: 3000, cores: { opened: [14, 30] }, process: { cpu_ns: 9 }, store: { syncs: 4 } });
    const over = interval(before, after)!;
    assert.deepEqual(ratesByCore(over, 'opened'), [2, 5]);
    assert.deepEqual([rate(over, 'opened'), rowRate(over, 'process', 'cpu_ns'), rowRate(over, 'store', 'syncs')], [7, 2, 1.5]);
    assert.deepEqual([rate(over, 'none'), rowRate(over, 'process', 'none'), rowRate(over, 'store', 'none')], [null, null, null]);
  });

  test('of the backend is like any other, and unknown where it is told nothing', () => {
    const before = sample({ atMs: 1000, hooks: { connect: 1 }, presenceFeed: { events: 3 } });
    const after = sample({ atMs: 3000, hooks: { connect: 5 }, presenceFeed: { events: 4 } });
    const over = interval(before, after)!;
    assert.deepEqual([rowRate(over, 'hooks', 'connect'), rowRate(over, 'presenceFeed', 'events')], [2, 0.5]);
    assert.equal(rowRate(interval(sample({ atMs: 1 }), sample({ atMs: 2 }))!, 'presenceFeed', 'events'), null);
  });

  test('is unknown where the server began anew, or has other cores, or no time passed', () => {
    const before = sample({ atMs: 1000, cores: { opened: [10, 20] } });
    assert.equal(interval(before, sample({ atMs: 2000, beganMs: 1500, cores: { opened: [1, 1] } })), null);
    assert.equal(interval(before, sample({ atMs: 2000, cores: { opened: [1, 1, 1] } })), null);
    assert.equal(interval(before, before), null);
    assert.equal(interval(before, sample({ atMs: 500, cores: { opened: [10, 20] } })), null);
  });
});

describe('a percentile', () => {
  test('is found in the buckets of the time in between', () => {
    const before = sample({ atMs: 0, endToEnd: [[5, 0, 0, 0], [0, 0, 0, 1]] });
    const after = sample({ atMs: 1000, endToEnd: [[5, 10, 0, 0], [10, 0, 0, 1]] });
    const buckets = bucketsByCore(interval(before, after)!, 'end_to_end')!;
    assert.deepEqual(buckets.counts, [[0, 10, 0, 0], [10, 0, 0, 0]]);
    assert.deepEqual(joined(buckets), [10, 10, 0, 0]);
    assert.equal(quantileUs(BOUNDS_US, joined(buckets), 0.5), 1000);
    assert.equal(quantileUs(BOUNDS_US, joined(buckets), 0.75), 5500);
  });

  test('is evenly spread within a bucket, and no more than is known', () => {
    for (const [counts, share, want] of [
      [[10, 0, 0, 0], 0.5, 500],
      [[10, 0, 0, 0], 1, 1000],
      [[0, 10, 0, 0], 0, 1000],
      [[0, 0, 100, 0], 0.99, 99_100],
      [[0, 0, 0, 5], 0.5, 100_000],
      [[0, 0, 0, 0], 0.5, null],
    ] as const) assert.equal(quantileUs(BOUNDS_US, counts, share), want, `${counts} ${share}`);
  });
});
