// What happened between two samples: rates of what only grows, and percentiles of what fell into
// buckets meanwhile.
//
// A counter that is smaller than before began anew, with the server: what was between the two is
// not known, and no number is made up for it.

import type { Column, CoreHistogram, Sample } from './answers.js';

// Two samples of the same life of the server, the second one later.
export interface Interval {
  readonly before: Sample;
  readonly after: Sample;
  readonly seconds: number;
}

export function interval(before: Sample, after: Sample): Interval | null {
  const seconds = (after.nowUnixMs - before.nowUnixMs) / 1000;
  const isSameLife = before.beganUnixMs === after.beganUnixMs && before.coresCount === after.coresCount;
  return isSameLife && seconds > 0 ? { before, after, seconds } : null;
}

// By how much a counter grew on each core.
function growth(over: Interval, name: string): number[] | null {
  const [before, after] = [over.before.cores.get(name), over.after.cores.get(name)];
  if (before === undefined || after === undefined) return null;
  return after.map((value, core) => Math.max(0, value - (before[core] ?? 0)));
}

// So many a second, on each core.
export function ratesByCore(over: Interval, name: string): Column | null {
  return growth(over, name)?.map((grown) => grown / over.seconds) ?? null;
}

// So many a second, on all cores together.
export function rate(over: Interval, name: string): number | null {
  const rates = ratesByCore(over, name);
  return rates && sum(rates);
}

// What a sample has one number of each, beside those of cores.
export type RowName = 'process' | 'hooks' | 'presenceFeed' | 'store';

// The same of a counter of these. None where the server has no such part.
export function rowRate(over: Interval, row: RowName, name: string): number | null {
  const [before, after] = [over.before[row]?.get(name), over.after[row]?.get(name)];
  if (before === undefined || after === undefined) return null;
  return Math.max(0, after - before) / over.seconds;
}

export function sum(values: Column): number {
  return values.reduce((total, value) => total + value, 0);
}

// What fell into buckets in between, by core.
export function bucketsByCore(over: Interval, name: string): CoreHistogram | null {
  const [before, after] = [over.before.latency.get(name), over.after.latency.get(name)];
  if (before === undefined || after === undefined) return null;
  if (before.boundsUs.length !== after.boundsUs.length) return null;
  const counts = after.counts.map((of, core) =>
    of.map((count, bucket) => Math.max(0, count - (before.counts[core]?.[bucket] ?? 0))));
  return { boundsUs: after.boundsUs, counts };
}

// And over all cores.
export function joined(histogram: CoreHistogram): Column {
  const total: number[] = Array.from({ length: histogram.boundsUs.length + 1 }, () => 0);
  for (const counts of histogram.counts) counts.forEach((count, bucket) => { total[bucket]! += count; });
  return total;
}

// The value that so much of all is at most, in microseconds, as Prometheus finds it: evenly
// spread within a bucket. What is in the last bucket is at least its lower bound, and nobody
// knows more. None where there is nothing.
export function quantileUs(boundsUs: readonly number[], counts: Column, share: number): number | null {
  const all = sum(counts);
  if (all === 0) return null;
  const wanted = share * all;
  let below = 0;
  for (let bucket = 0; bucket < boundsUs.length; bucket += 1) {
    const count = counts[bucket] ?? 0;
    if (count > 0 && wanted <= below + count) {
      const lower = bucket === 0 ? 0 : boundsUs[bucket - 1]!;
      return lower + (boundsUs[bucket]! - lower) * Math.max(0, wanted - below) / count;
    }
    below += count;
  }
  return boundsUs.at(-1) ?? null;
}
