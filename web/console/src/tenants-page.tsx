// Tenants that have numbers of their own.

import { useCallback } from 'preact/hooks';

import { readTenants } from 'rookery-console-core';

import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 10_000;

export function TenantsPage({ server, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const { columns } = words;
  const ask = useCallback(() => server.read('tenants', readTenants), [server]);
  const polled = usePolled(ask, EVERY_MS, onExpire);
  return (
    <>
      <Asking polled={polled} />
      {polled.value !== null && (
        <Table
          title={words.tabs.tenants}
          columns={[
            columns['tenant']!, columns['connections']!, columns['opened']!, columns['published']!,
            columns['delivered']!, columns['failed']!,
          ]}
          numeric={[1, 2, 3, 4, 5]}
          rows={polled.value.map((one) => ({
            key: one.tenant,
            cells: [
              one.tenant, formats.count(one.connections), formats.count(one.opened), formats.count(one.published),
              formats.count(one.delivered), formats.count(one.failed),
            ],
          }))}
        />
      )}
    </>
  );
}
