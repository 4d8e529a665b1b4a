// The heat map: a row for each measure, a cell for each core, and how hot each is.
//
// A level says whether something is to be done, so most bounds are fixed: half an hour of calm does
// not make a millisecond hot. What has no bound of its own, as connections, is compared with the
// mean of all cores: it shows who has more than a fair share.

import type { Column, Sample } from './answers.js';
import { bucketsByCore, quantileUs, ratesByCore, sum, type Interval } from './rates.js';

// From nothing to say, to something to do at once.
export type Level = 0 | 1 | 2 | 3 | 4;

export const MEASURES = [
  'connections', 'commands', 'delivered', 'latency_p99', 'lag', 'late', 'busy', 'waiting', 'memory', 'mailbox',
] as const;

export type MeasureName = (typeof MEASURES)[number];

// How a value is written.
export type Unit = 'count' | 'amount' | 'per-second' | 'seconds' | 'share' | 'bytes' | 'bytes-per-second';

interface Measure {
  readonly unit: Unit;
  // From which value on each level above 0 holds; none: compared with the other cores.
  readonly bounds: readonly [number, number, number, number] | null;
  readonly values: (sample: Sample, over: Interval | null) => Column | readonly (number | null)[] | null;
}

const perSecond = (name: string): Measure => ({
  unit: 'per-second',
  bounds: null,
  values: (_, over) => over && ratesByCore(over, name),
});

// What share of a limit is used, on each core.
function shares(sample: Sample, name: string, limit: string): readonly (number | null)[] | null {
  const [used, limits] = [sample.cores.get(name), sample.cores.get(limit)];
  if (used === undefined || limits === undefined) return null;
  return used.map((value, core) => {
    const most = limits[core] ?? 0;
    return most > 0 ? value / most : null;
  });
}

// What share of the time something took, from a counter of so many units a second.
function timeShare(over: Interval | null, name: string, perSecondUnits: number): Column | null {
  const rates = over && ratesByCore(over, name);
  return rates && rates.map((rate) => rate / perSecondUnits);
}

const TABLE: Record<MeasureName, Measure> = {
  connections: { unit: 'count', bounds: null, values: (sample) => sample.cores.get('connections') ?? null },
  commands: perSecond('commands'),
  delivered: perSecond('delivered'),
  latency_p99: {
    unit: 'seconds',
    bounds: [0.05, 0.2, 0.4, 0.8],
    values: (_, over) => {
      const buckets = over && bucketsByCore(over, 'end_to_end');
      if (buckets === null) return null;
      return buckets.counts.map((counts) => {
        const us = quantileUs(buckets.boundsUs, counts, 0.99);
        return us === null ? null : us / 1e6;
      });
    },
  },
  lag: {
    unit: 'seconds',
    bounds: [0.02, 0.1, 0.4, 1],
    values: (sample) => sample.cores.get('timer_lag_ms')?.map((ms) => ms / 1000) ?? null,
  },
  late: { unit: 'share', bounds: [0.001, 0.02, 0.1, 0.5], values: (_, over) => timeShare(over, 'late_ms', 1e3) },
  busy: { unit: 'share', bounds: [0.5, 0.7, 0.85, 0.95], values: (_, over) => timeShare(over, 'busy_ns', 1e9) },
  waiting: {
    unit: 'bytes',
    bounds: null,
    values: (sample) => sample.cores.get('send_queue_bytes') ?? null,
  },
  memory: {
    unit: 'share',
    bounds: [0.1, 0.25, 0.5, 0.8],
    values: (sample) => shares(sample, 'send_queue_bytes', 'send_queue_limit_bytes'),
  },
  mailbox: {
    unit: 'count',
    bounds: [256, 1024, 4096, 8192],
    values: (sample) => sample.cores.get('mailbox_depth') ?? null,
  },
};

export interface HeatCell {
  readonly value: number | null;
  readonly level: Level;
}

export interface HeatRow {
  readonly measure: MeasureName;
  readonly unit: Unit;
  readonly cells: readonly HeatCell[];
}

// How hot a value is by fixed bounds.
export function levelOf(value: number, bounds: readonly [number, number, number, number]): Level {
  const passed = bounds.filter((bound) => bound <= value).length;
  return passed as Level;
}

// How hot a value is beside the others: a core with twice its share is hot. Where there is little
// in all, chance alone makes such shares, and nothing is hot.
function levelBeside(value: number, mean: number, total: number): Level {
  if (total < LITTLE || mean <= 0) return 0;
  return levelOf(value / mean, [1.25, 1.5, 2, 3]);
}

const LITTLE = 1000;

// All rows. A measure that is not known yet has cells without values.
export function heatRows(sample: Sample, over: Interval | null): HeatRow[] {
  return MEASURES.map((measure) => {
    const { unit, bounds, values } = TABLE[measure];
    const column = values(sample, over) ?? Array.from({ length: sample.coresCount }, () => null);
    const known = column.filter((value) => value !== null);
    const total = sum(known);
    const mean = known.length === 0 ? 0 : total / known.length;
    const cells = column.map((value): HeatCell => {
      if (value === null) return { value, level: 0 };
      return { value, level: bounds === null ? levelBeside(value, mean, total) : levelOf(value, bounds) };
    });
    return { measure, unit, cells };
  });
}

// A core whose loop has not turned for two seconds hangs: it wakes once a second by itself.
const HANGS_AFTER_MS = 2000;

export function hangingCores(sample: Sample): number[] {
  const ticks = sample.cores.get('last_tick_unix_ms') ?? [];
  const hangs = (tick: number) => tick > 0 && sample.nowUnixMs - tick >= HANGS_AFTER_MS;
  return ticks.flatMap((tick, core) => (hangs(tick) ? [core] : []));
}

// Which cell a key leads to, in a grid of so many rows and columns; none for other keys.
export function moved(key: string, at: readonly [number, number], size: readonly [number, number]):
  readonly [number, number] | null {
  const [row, column] = at;
  const [rows, columns] = size;
  const within = (value: number, end: number) => Math.min(Math.max(value, 0), Math.max(end - 1, 0));
  switch (key) {
    case 'ArrowUp': return [within(row - 1, rows), column];
    case 'ArrowDown': return [within(row + 1, rows), column];
    case 'ArrowLeft': return [row, within(column - 1, columns)];
    case 'ArrowRight': return [row, within(column + 1, columns)];
    case 'Home': return [row, 0];
    case 'End': return [row, within(columns - 1, columns)];
    default: return null;
  }
}
