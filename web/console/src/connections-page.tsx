// The worst connections of each core, when somebody asks: it is a walk through all of them.

import { useCallback, useState } from 'preact/hooks';

import { readConnections } from 'rookery-console-core';

import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const SORTS = ['age', 'pending', 'tasks'] as const;

export function ConnectionsPage({ server, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const { columns } = words;
  const [sort, setSort] = useState<(typeof SORTS)[number]>('pending');
  const ask = useCallback(() => server.read(`conns?sort=${sort}`, readConnections), [server, sort]);
  const polled = usePolled(ask, 0, onExpire);
  const { value } = polled;
  return (
    <>
      <div class="tools">
        <label>
          {words.sortBy}{' '}
          <select value={sort} onChange={(event) => setSort(event.currentTarget.value as (typeof SORTS)[number])}>
            {SORTS.map((one) => <option key={one} value={one}>{words.sorts[one]}</option>)}
          </select>
        </label>
        <button class="quiet" onClick={polled.again}>{words.loadAgain}</button>
      </div>
      <Asking polled={polled} />
      {value !== null && (
        <Table
          title={words.tabs.connections}
          columns={[
            columns['user']!, columns['tenant']!, columns['age']!, columns['waiting']!, columns['tasks']!,
            columns['channels']!, columns['program']!, columns['peer']!, columns['core']!, columns['client']!,
          ]}
          numeric={[2, 3, 4, 5]}
          rows={value.rows.map((one, at) => ({
            key: `${at} ${one.core} ${one.client}`,
            cells: [
              one.user, one.tenant, formats.span(one.ageSeconds), formats.bytes(one.outboxBytes), one.tasks,
              one.channels, `${one.userAgent}, ${one.encoding}`, one.peer, one.core, <code>{one.client}</code>,
            ],
          }))}
        >
          {value.silentCores.length > 0 && <p class="notice">{words.silent(value.silentCores.join(', '))}</p>}
        </Table>
      )}
    </>
  );
}
