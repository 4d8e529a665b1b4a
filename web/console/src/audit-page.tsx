// Who did what, and what was refused.

import { useCallback } from 'preact/hooks';

import { readAudit, type AuditRow } from 'rookery-console-core';

import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 10_000;

export function AuditPage({ server, onExpire }: PageProps) {
  const { words } = useLook();
  const ask = useCallback(() => server.read('audit', readAudit), [server]);
  const polled = usePolled(ask, EVERY_MS, onExpire);
  return (
    <>
      <Asking polled={polled} />
      {polled.value !== null && (
        <>
          <AuditTable title={words.acts} rows={polled.value.acts} />
          <AuditTable title={words.calls} rows={polled.value.calls} />
          <AuditTable title={words.refusals} rows={polled.value.refusals} />
        </>
      )}
    </>
  );
}

function AuditTable({ title, rows }: { readonly title: string; readonly rows: readonly AuditRow[] }) {
  const { words, formats } = useLook();
  const { columns, outcomes } = words;
  const outcome = (row: AuditRow) => {
    const word = outcomes[row.outcome] ?? row.outcome;
    return row.reason === '' ? word : `${word} (${row.reason})`;
  };
  return (
    <Table
      title={title}
      columns={[
        columns['time']!, columns['event']!, columns['actor']!, columns['target']!, columns['outcome']!,
        columns['via']!, columns['from']!,
      ]}
      rows={rows.map((row, at) => ({
        key: `${at} ${row.timeUnixMs}`,
        cells: [
          formats.moment(row.timeUnixMs), <code>{row.name}</code>, row.actor, row.target, outcome(row), row.via,
          row.from,
        ],
      }))}
    />
  );
}
