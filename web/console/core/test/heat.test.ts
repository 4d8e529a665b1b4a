// How hot each core is, and by which keys one gets around.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MEASURES, hangingCores, heatRows, interval, levelOf, moved } from '../src/index.js';
import { sample } from './samples.js';

const row = (rows: ReturnType<typeof heatRows>, name: string) => rows.find(({ measure }) => measure === name)!;
const levels = (rows: ReturnType<typeof heatRows>, name: string) => row(rows, name).cells.map(({ level }) => level);

describe('the heat map', () => {
  test('has a cell for each measure and core, with and without values', () => {
    const rows = heatRows(sample({ cores: { connections: [1, 2, 3] } }), null);
    assert.deepEqual(rows.map(({ measure }) => measure), [...MEASURES]);
    assert.ok(rows.every(({ cells }) => cells.length === 3));
    assert.deepEqual(row(rows, 'connections').cells.map(({ value }) => value), [1, 2, 3]);
    assert.deepEqual(row(rows, 'busy').cells.map(({ value }) => value), [null, null, null]);
  });

  test('is hot by fixed bounds where there is something to do', () => {
    const before = sample({ atMs: 0, cores: { busy_ns: [0, 0, 0], late_ms: [0, 0, 0], timer_lag_ms: [0, 0, 0] } });
    const after = sample({
      atMs: 2000,
      cores: { busy_ns: [2e8, 1.5e9, 1.99e9], late_ms: [0, 30, 1500], timer_lag_ms: [8, 100, 3000] },
    });
    const rows = heatRows(after, interval(before, after));
    assert.deepEqual(levels(rows, 'busy'), [0, 2, 4]);
    assert.deepEqual(levels(rows, 'late'), [0, 1, 4]);
    assert.deepEqual(levels(rows, 'lag'), [0, 2, 4]);
    assert.deepEqual(row(rows, 'busy').cells.map(({ value }) => value), [0.1, 0.75, 0.995]);
  });

  test('is hot beside the others where a core has more than its share, and not by chance', () => {
    const of = (connections: number[]) => levels(heatRows(sample({ cores: { connections } }), null), 'connections');
    assert.deepEqual(of([10_000, 10_100, 9_900, 10_000]), [0, 0, 0, 0]);
    assert.deepEqual(of([0, 10_000, 20_000, 10_000]), [0, 0, 3, 0]);
    assert.deepEqual(of([0, 1, 5, 0]), [0, 0, 0, 0]);
    assert.deepEqual(of([0, 0]), [0, 0]);
  });

  test('knows what share of the memory for sends is used, where there is a limit', () => {
    const cores = { send_queue_bytes: [10, 90, 5], send_queue_limit_bytes: [100, 100, 0] };
    const rows = heatRows(sample({ cores }), null);
    assert.deepEqual(row(rows, 'memory').cells, [
      { value: 0.1, level: 1 }, { value: 0.9, level: 4 }, { value: null, level: 0 },
    ]);
  });

  test('has the percentile of each core alone', () => {
    const before = sample({ atMs: 0, endToEnd: [[0, 0, 0, 0], [0, 0, 0, 0]] });
    const after = sample({ atMs: 1000, endToEnd: [[100, 0, 0, 0], [0, 0, 100, 0]] });
    const cells = row(heatRows(after, interval(before, after)), 'latency_p99').cells;
    assert.deepEqual(cells.map(({ level }) => level), [0, 1]);
    assert.ok(Math.abs(cells[1]!.value! - 0.0991) < 1e-9);
  });

  test('has levels from bounds', () => {
    const bounds = [1, 2, 3, 4] as const;
    assert.deepEqual([0, 1, 2.5, 3, 9].map((value) => levelOf(value, bounds)), [0, 1, 2, 3, 4]);
  });
});

test('a core that does not turn hangs, and one that has not begun does not', () => {
  const ticks = { last_tick_unix_ms: [10_000, 8001, 8000, 0] };
  assert.deepEqual(hangingCores(sample({ atMs: 10_000, cores: ticks })), [2]);
});

test('keys lead to the next cell, and not out of the grid', () => {
  const size = [3, 4] as const;
  for (const [key, at, want] of [
    ['ArrowUp', [0, 2], [0, 2]],
    ['ArrowUp', [2, 2], [1, 2]],
    ['ArrowDown', [2, 0], [2, 0]],
    ['ArrowLeft', [1, 0], [1, 0]],
    ['ArrowRight', [1, 2], [1, 3]],
    ['ArrowRight', [1, 3], [1, 3]],
    ['Home', [1, 3], [1, 0]],
    ['End', [1, 0], [1, 3]],
    ['a', [1, 1], null],
  ] as const) assert.deepEqual(moved(key, at, size), want, key);
  assert.deepEqual(moved('End', [0, 0], [0, 0]), [0, 0]);
});
