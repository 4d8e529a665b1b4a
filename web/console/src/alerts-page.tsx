// What fires now, as Alertmanager has it.

import { useCallback } from 'preact/hooks';

import { readAlerts } from 'rookery-console-core';

import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 10_000;

export function AlertsPage({ server, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const { columns } = words;
  const ask = useCallback(() => server.read('alerts', readAlerts), [server]);
  const polled = usePolled(ask, EVERY_MS, onExpire);
  const { value } = polled;
  if (value === null) return <Asking polled={polled} />;
  if (value.state !== 'good') return <p class={value.state === 'off' ? 'card' : 'notice'}>{words.alertStates[value.state]}</p>;
  if (value.alerts.length === 0) return <p class="card" role="status">{words.alertStates.none}</p>;
  return (
    <Table
      title={words.tabs.alerts}
      columns={[
        columns['alert']!, columns['severity']!, columns['since']!, columns['summary']!, columns['what']!,
      ]}
      rows={value.alerts.map((one, at) => ({
        key: `${at} ${one.name}`,
        cells: [
          one.name, one.severity, formats.moment(one.sinceUnixMs),
          <>
            {one.summary}{' '}
            {isLink(one.runbook) && <a href={one.runbook} target="_blank" rel="noreferrer noopener">{words.runbook}</a>}
          </>,
          one.labels.map(([name, label]) => `${name}=${label}`).join(' '),
        ],
      }))}
    >
      {value.more > 0 && <p class="detail">{words.moreAlerts(formats.count(value.more))}</p>}
    </Table>
  );
}

// Annotations are whoever's who writes rules: only an address leads somewhere.
function isLink(text: string): boolean {
  return text.startsWith('https://') || text.startsWith('http://');
}
