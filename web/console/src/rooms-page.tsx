// The largest rooms, in pages. The server walks through all rooms for it at most once in ten
// seconds, whoever asks.

import { useCallback, useState } from 'preact/hooks';

import { readRooms } from 'rookery-console-core';

import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Pager } from './pager';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 15_000;

export function RoomsPage({ server, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const { columns } = words;
  const [page, setPage] = useState(0);
  const ask = useCallback(() => server.read(`rooms?page=${page}`, readRooms), [server, page]);
  const polled = usePolled(ask, EVERY_MS, onExpire);
  const { value, atMs } = polled;
  return (
    <>
      <Asking polled={polled} />
      {value !== null && (
        <Table
          title={words.roomsCaption(formats.count(value.roomsCount), formats.span((atMs - value.madeUnixMs) / 1000))}
          columns={[columns['channel']!, columns['tenant']!, columns['members']!, columns['core']!]}
          numeric={[2, 3]}
          rows={value.rooms.map(({ channel, tenant, members, core }) => ({
            key: `${tenant} ${channel}`, cells: [channel, tenant, formats.count(members), core],
          }))}
        >
          {value.silentCores.length > 0 && <p class="notice">{words.silent(value.silentCores.join(', '))}</p>}
          <Pager page={page} pages={value.pages} onPage={setPage} />
        </Table>
      )}
    </>
  );
}
