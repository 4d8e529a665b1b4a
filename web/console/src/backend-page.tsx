// The application's backend: what it is asked before somebody may do something, and what it is told
// of who is there.

import { rowRate } from 'rookery-console-core';

import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';

const HOOKS = ['connect', 'refresh', 'rpc', 'subscribe', 'publish', 'sub_refresh'] as const;
const MISSES = ['failed', 'late', 'invalid', 'skipped'] as const;

export function BackendPage({ track }: Pick<PageProps, 'track'>) {
  return (
    <>
      <HooksTable track={track} />
      <FeedTable track={track} />
    </>
  );
}

function HooksTable({ track }: Pick<PageProps, 'track'>) {
  const { words, formats } = useLook();
  const { last, over } = track;
  const of = (name: string) => last?.hooks.get(name) ?? null;
  const perSecond = (name: string) => over && rowRate(over, 'hooks', name);
  const suspended = of('suspended') ?? 0;
  const waitMs = perSecond('wait_ms');
  const asked = over && HOOKS.reduce((all, name) => all + (perSecond(name) ?? 0), 0);
  const meanMs = waitMs !== null && asked !== null && asked > 0 ? waitMs / asked : null;
  const counted = [...HOOKS, ...MISSES].map((name) => ({
    key: name,
    cells: [words.hookRows[name] ?? name, formats.perSecond(perSecond(name)), formats.count(of(name))],
  }));
  return (
    <Table
      title={words.hooks} note={words.hooksHint}
      columns={[words.columns['what']!, words.now, words.total]} numeric={[1, 2]}
      rows={[
        { key: 'under_way', cells: [words.hookRows['under_way'], formats.count(of('under_way')), ''] },
        { key: 'mean', cells: [words.hookRows['mean'], formats.seconds(meanMs === null ? null : meanMs / 1000), ''] },
        ...counted,
      ]}
    >
      {suspended > 0 && <p class="notice" role="alert">{words.hooksSuspended(formats.count(suspended))}</p>}
    </Table>
  );
}

const FEED_RATES = ['events', 'taken', 'failed', 'lost', 'write_failures', 'passes'] as const;

function FeedTable({ track }: Pick<PageProps, 'track'>) {
  const { words, formats } = useLook();
  const { last, over } = track;
  const feed = last?.presenceFeed ?? null;
  if (feed === null) {
    return <section class="card"><h2>{words.feed}</h2><p class="detail">{words.noFeed}</p></section>;
  }
  const of = (name: string) => feed.get(name) ?? null;
  const name = (row: string) => words.feedRows[row] ?? row;
  const oldestMs = of('oldest_ms') ?? 0;
  return (
    <Table
      title={words.feed} note={words.feedHint}
      columns={[words.columns['what']!, words.now, words.total]} numeric={[1, 2]}
      rows={[
        { key: 'users', cells: [name('users'), formats.count(of('users')), ''] },
        { key: 'subscriptions', cells: [name('subscriptions'), formats.count(of('subscriptions')), ''] },
        { key: 'queued', cells: [name('queued'), formats.count(of('queued')), ''] },
        { key: 'oldest_ms', cells: [name('oldest_ms'), formats.span(oldestMs / 1000), ''] },
        {
          key: 'queued_bytes',
          cells: [
            name('queued_bytes'),
            `${formats.bytes(of('queued_bytes'))} ${words.ofMax(formats.bytes(of('queue_limit_bytes')))}`, '',
          ],
        },
        ...FEED_RATES.map((row) => ({
          key: row,
          cells: [name(row), formats.perSecond(over && rowRate(over, 'presenceFeed', row)), formats.count(of(row))],
        })),
      ]}
    />
  );
}
