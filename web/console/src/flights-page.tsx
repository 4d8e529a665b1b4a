// The flight recorders: the last things of each core that went wrong.

import { useCallback } from 'preact/hooks';

import { readFlights } from 'rookery-console-core';

import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 5000;

export function FlightsPage({ server, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const { columns } = words;
  const ask = useCallback(() => server.read('flights', readFlights), [server]);
  const polled = usePolled(ask, EVERY_MS, onExpire);
  return (
    <>
      <Asking polled={polled} />
      {polled.value !== null && (
        <Table
          title={words.tabs.flights}
          columns={[
            columns['time']!, columns['core']!, columns['layer']!, columns['kind']!, columns['reason']!,
            columns['took']!, columns['room']!, columns['program']!, columns['trace']!,
          ]}
          numeric={[5]}
          rows={polled.value.map((one, at) => ({
            key: `${at} ${one.timeUnixMs} ${one.core}`,
            cells: [
              formats.time(one.timeUnixMs), one.core, one.layer, one.kind, one.reason,
              one.valueSeconds === null ? '' : formats.seconds(one.valueSeconds), one.room, one.userAgent,
              one.traceId === '' ? '' : <code>{one.traceId}</code>,
            ],
          }))}
        />
      )}
    </>
  );
}
