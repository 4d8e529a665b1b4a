// Samples become lines, with holes where nobody knows.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { CHART_NAMES, CHARTS, POINTS_MAX, Track } from '../src/index.js';
import { sample } from './samples.js';

const cores = (opened: number, connections = 5) =>
  ({ opened: [opened, 0], closed: [0, 0], rejected: [0, 0], connections: [connections, 1] });

describe('a track', () => {
  test('has a value for each line of each chart', () => {
    const track = new Track(2000);
    track.add(sample({ atMs: 1000, cores: cores(0), process: { resident_bytes: 7, cpu_ns: 0 } }));
    track.add(sample({ atMs: 3000, cores: cores(10), process: { resident_bytes: 8, cpu_ns: 1e9 } }));
    for (const name of CHART_NAMES) {
      const data = track.data(name);
      assert.equal(data.length, CHARTS[name].length + 1, name);
      assert.ok(data.every((row) => row.length === 2), name);
    }
    assert.deepEqual(track.data('connections'), [[1, 3], [6, 6]]);
    assert.deepEqual(track.data('comings')[1], [null, 5]);
    assert.deepEqual(track.data('cpu')[1], [null, 0.5]);
    assert.deepEqual(track.data('memory').slice(1), [[7, 8], [null, null]]);
  });

  test('takes no sample twice', () => {
    const track = new Track(2000);
    assert.equal(track.add(sample({ atMs: 1000, cores: cores(0) })), true);
    assert.equal(track.add(sample({ atMs: 1000, cores: cores(0) })), false);
    assert.equal(track.add(sample({ atMs: 900, cores: cores(0) })), false);
    assert.deepEqual(track.data('connections')[0], [1]);
  });

  test('has a hole where samples are missing, and no rate over it', () => {
    const track = new Track(2000);
    track.add(sample({ atMs: 1000, cores: cores(0) }));
    track.add(sample({ atMs: 61_000, cores: cores(600) }));
    track.add(sample({ atMs: 63_000, cores: cores(610) }));
    assert.deepEqual(track.data('connections'), [[1, 59, 61, 63], [6, null, 6, 6]]);
    assert.deepEqual(track.data('comings')[1], [null, null, null, 5]);
  });

  test('has a hole where the server began anew, also when its clock was set back', () => {
    const track = new Track(2000);
    track.add(sample({ atMs: 10_000, cores: cores(100) }));
    track.add(sample({ atMs: 9000, beganMs: 8500, cores: cores(0) }));
    track.add(sample({ atMs: 11_000, beganMs: 8500, cores: cores(4) }));
    const [times, opened] = track.data('comings');
    assert.deepEqual(opened, [null, null, null, 2]);
    assert.ok(times.every((time, at) => at === 0 || times[at - 1]! < time), String(times));
  });

  test('keeps so many points and no more', () => {
    const track = new Track(2000);
    for (let at = 1; at <= POINTS_MAX + 50; at += 1) track.add(sample({ atMs: at * 2000, cores: cores(at) }));
    for (const name of CHART_NAMES) {
      assert.ok(track.data(name).every((row) => row.length === POINTS_MAX), name);
    }
    assert.equal(track.data('connections')[0].at(-1), (POINTS_MAX + 50) * 2);
  });
});
