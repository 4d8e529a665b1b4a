// The last samples as lines of charts: a bounded number of points, each of them what happened in
// one interval. Where samples are missing, or the server began anew, a line has a hole.

import type { Sample } from './answers.js';
import {
  bucketsByCore, interval, joined, quantileUs, rate, rowRate, sum, type Interval,
} from './rates.js';

// Points of each line: a quarter of an hour at one in two seconds.
export const POINTS_MAX = 450;
// A pause of more than so many intervals is a hole.
const PAUSE_INTERVALS = 3;

// A line: what it is called, and its value at one moment. None where it is not known.
export interface Line {
  readonly name: string;
  readonly value: (sample: Sample, over: Interval | null) => number | null;
}

const gauge = (name: string): Line => ({
  name,
  value: (sample) => {
    const column = sample.cores.get(name);
    return column === undefined ? null : sum(column);
  },
});
const perSecond = (name: string): Line => ({ name, value: (_, over) => over && rate(over, name) });
const latency = (name: string, of: string, share: number): Line => ({
  name,
  value: (_, over) => {
    const buckets = over && bucketsByCore(over, of);
    const us = buckets && quantileUs(buckets.boundsUs, joined(buckets), share);
    return us === null ? null : us / 1e6;
  },
});
const ofProcess = (name: string): Line => ({
  name,
  value: (sample) => sample.process.get(name) ?? null,
});

export const CHARTS = {
  connections: [gauge('connections')],
  comings: [perSecond('opened'), perSecond('closed'), perSecond('rejected')],
  messages: [perSecond('published'), perSecond('delivered'), perSecond('not_delivered')],
  bytes: [perSecond('bytes_in'), perSecond('bytes_out')],
  latency: [
    latency('p50', 'end_to_end', 0.5),
    latency('p95', 'end_to_end', 0.95),
    latency('p99', 'end_to_end', 0.99),
  ],
  lateness: [{
    name: 'worst_lag',
    value: (sample) => {
      const lags = sample.cores.get('timer_lag_ms');
      return lags === undefined || lags.length === 0 ? null : Math.max(...lags) / 1000;
    },
  }],
  cpu: [{
    name: 'cpus_busy',
    value: (_, over) => {
      const ns = over && rowRate(over, 'process', 'cpu_ns');
      return ns === null ? null : ns / 1e9;
    },
  }],
  memory: [ofProcess('resident_bytes'), ofProcess('heap_bytes')],
} as const satisfies Record<string, readonly Line[]>;

export type ChartName = keyof typeof CHARTS;

export const CHART_NAMES = Object.keys(CHARTS) as ChartName[];

// What uPlot draws: Unix seconds, and a row of values for each line.
export type ChartData = readonly [readonly number[], ...(readonly (number | null)[])[]];

export class Track {
  #last: Sample | null = null;
  #over: Interval | null = null;
  readonly #intervalMs: number;
  readonly #times: number[] = [];
  readonly #values = new Map<ChartName, (number | null)[][]>(
    CHART_NAMES.map((name) => [name, CHARTS[name].map(() => [])]),
  );

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  // The newest sample, and what happened since the one before; none if that is not known.
  get last(): Sample | null {
    return this.#last;
  }

  get over(): Interval | null {
    return this.#over;
  }

  // One more sample. One that is no newer than the last, as a server gives it that keeps it for a
  // second, is left alone: says whether it was taken.
  add(sample: Sample): boolean {
    const last = this.#last;
    const isSameLife = last?.beganUnixMs === sample.beganUnixMs;
    if (last !== null && isSameLife && sample.nowUnixMs <= last.nowUnixMs) return false;
    this.#over = last && interval(last, sample);
    const pauseMs = last === null ? 0 : sample.nowUnixMs - last.nowUnixMs;
    const isHole = last !== null && (!isSameLife || pauseMs > PAUSE_INTERVALS * this.#intervalMs);
    // Rates over a pause would be a line through what nobody saw.
    const over = isHole ? null : this.#over;
    if (isHole) this.#put((sample.nowUnixMs - this.#intervalMs) / 1000, () => null);
    this.#put(sample.nowUnixMs / 1000, (line) => line.value(sample, over));
    this.#last = sample;
    return true;
  }

  #put(time: number, value: (line: Line) => number | null): void {
    // A clock that was set back would make a line go back.
    const previous = this.#times.at(-1);
    this.#times.push(previous !== undefined && time <= previous ? previous + 0.001 : time);
    for (const name of CHART_NAMES) {
      const rows = this.#values.get(name)!;
      CHARTS[name].forEach((line, at) => rows[at]!.push(value(line)));
      for (const row of rows) if (row.length > POINTS_MAX) row.shift();
    }
    if (this.#times.length > POINTS_MAX) this.#times.shift();
  }

  data(name: ChartName): ChartData {
    return [this.#times, ...this.#values.get(name)!];
  }
}
