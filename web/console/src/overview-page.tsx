// All at a glance: figures, the cores as a heat map, what happened lately as charts, the rings and
// the store.

import {
  CHART_NAMES, bucketsByCore, hangingCores, joined, quantileUs, rate, rowRate, sum,
  type ChartName, type Sample, type Unit,
} from 'rookery-console-core';

import { Chart } from './chart';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { HeatMap } from './heat-map';
import { Table } from './table';
import type { Words } from './words';

const CHART_UNITS: Readonly<Record<ChartName, Unit>> = {
  connections: 'count',
  comings: 'per-second',
  messages: 'per-second',
  bytes: 'bytes-per-second',
  latency: 'seconds',
  lateness: 'seconds',
  cpu: 'amount',
  memory: 'bytes',
};

export function OverviewPage({ track }: PageProps) {
  const { words } = useLook();
  const sample = track.last;
  if (sample === null) return null;
  const hanging = hangingCores(sample);
  return (
    <>
      {hanging.length > 0 && <p class="notice" role="alert">{words.hanging(hanging.map((core) => `${core} (${sample.phases[core]})`).join(', '))}</p>}
      <Tiles sample={sample} track={track} />
      <HeatMap sample={sample} over={track.over} />
      <div class="charts">
        {CHART_NAMES.map((name) => (
          <Chart
            key={name} title={words.charts[name]} lines={linesOf(name, words)} data={track.data(name)}
            unit={CHART_UNITS[name]} turn={sample.nowUnixMs}
          />
        ))}
      </div>
      <div class="halves">
        <RingTable track={track} />
        <StoreTable track={track} />
      </div>
    </>
  );
}

const LINES: Readonly<Record<ChartName, readonly string[]>> = {
  connections: ['connections'],
  comings: ['opened', 'closed', 'rejected'],
  messages: ['published', 'delivered', 'not_delivered'],
  bytes: ['bytes_in', 'bytes_out'],
  latency: ['p50', 'p95', 'p99'],
  lateness: ['worst_lag'],
  cpu: ['cpus_busy'],
  memory: ['resident_bytes', 'heap_bytes'],
};

const linesOf = (name: ChartName, words: Words) => LINES[name].map((line) => words.lines[line] ?? line);

const total = (sample: Sample, name: string) => sum(sample.cores.get(name) ?? []);

function Tiles({ sample, track }: { readonly sample: Sample; readonly track: PageProps['track'] }) {
  const { words, formats } = useLook();
  const { over } = track;
  const buckets = over && bucketsByCore(over, 'end_to_end');
  const p99Us = buckets && quantileUs(buckets.boundsUs, joined(buckets), 0.99);
  const lags = sample.cores.get('timer_lag_ms') ?? [];
  const cpuNs = over && rowRate(over, 'process', 'cpu_ns');
  const of = (name: string) => sample.process.get(name) ?? null;
  const cpuLimit = of('cpu_limit_millis');
  const tiles: readonly (readonly [string, string, string])[] = [
    [words.tiles.connections, formats.count(total(sample, 'connections')), words.ofMax(formats.count(of('connections_max')))],
    [words.tiles.messages, formats.perSecond(over && rate(over, 'published')), ''],
    [words.tiles.latency, formats.seconds(p99Us === null ? null : p99Us / 1e6), ''],
    [words.tiles.lag, formats.seconds(lags.length === 0 ? null : Math.max(...lags) / 1000), ''],
    [words.tiles.cpu, formats.amount(cpuNs && cpuNs / 1e9),
      words.ofMax(formats.amount(cpuLimit === null ? null : cpuLimit / 1000))],
    [words.tiles.memory, formats.bytes(of('resident_bytes')), words.ofMax(formats.bytes(of('memory_limit_bytes')))],
    [words.tiles.rooms, formats.count(total(sample, 'rooms')), ''],
    [words.tiles.slow, formats.count(total(sample, 'slow_consumers')), ''],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value, beside]) => (
        <div key={name} class="tile">
          <dt>{name}</dt>
          <dd>{value} <span class="detail">{beside}</span></dd>
        </div>
      ))}
    </dl>
  );
}

const RING_ROWS = [
  'ring_submits', 'ring_completions', 'ring_short_sends', 'ring_stale', 'ring_no_buffer', 'buffer_misses',
  'ring_cq_overflow', 'ring_sq_full', 'lane_full',
] as const;

function RingTable({ track }: Pick<PageProps, 'track'>) {
  const { words, formats } = useLook();
  const { last, over } = track;
  const rows = RING_ROWS.map((name) => ({
    key: name,
    cells: [
      words.ringRows[name] ?? name,
      formats.perSecond(over && rate(over, name)),
      formats.count(last === null ? null : total(last, name)),
    ],
  }));
  return <Table title={words.ring} columns={[words.columns['what']!, words.now, words.total]} numeric={[1, 2]} rows={rows} />;
}

const STORE_RATES = ['messages', 'commits', 'syncs', 'refused', 'expired'] as const;
const STORE_GAUGES = ['used_bytes', 'free_bytes'] as const;

function StoreTable({ track }: Pick<PageProps, 'track'>) {
  const { words, formats } = useLook();
  const store = track.last?.store ?? null;
  if (store === null) {
    return <section class="card"><h2>{words.store}</h2><p class="detail">{words.noStore}</p></section>;
  }
  const { over } = track;
  const name = (row: string) => words.storeRows[row] ?? row;
  const rows = [
    ...STORE_RATES.map((row) => ({
      key: row,
      cells: [name(row), formats.perSecond(over && rowRate(over, 'store', row)), formats.count(store.get(row) ?? null)],
    })),
    ...STORE_GAUGES.map((row) => ({ key: row, cells: [name(row), formats.bytes(store.get(row) ?? null), ''] })),
    {
      key: 'dead_letters',
      cells: [words.deadLetters, formats.count(store.get('dead_letters') ?? null),
        formats.span((store.get('dead_letter_oldest_ms') ?? 0) / 1000)],
    },
  ];
  return (
    <Table title={words.store} columns={[words.columns['what']!, words.now, words.total]} numeric={[1, 2]} rows={rows}
      note={words.deadLetterHint} />
  );
}
