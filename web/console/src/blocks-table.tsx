// Who is kept out, by kind, in pages of which each begins behind the one before.

import { useCallback, useState } from 'preact/hooks';

import { readBlocks, type BlockRow } from 'rookery-console-core';

import { inTenant, named, type Acting } from './acting';
import { Asking } from './asking';
import { useLook } from './context';
import type { ActBody, Server } from './server';
import { Table } from './table';
import { usePolled, type Polled } from './use-polled';
import type { Words } from './words';

const EVERY_MS = 10_000;
const KINDS = ['user', 'address', 'token', 'user_tokens'] as const;
export type BlockKind = (typeof KINDS)[number];

type Place = Pick<BlockRow, 'tenant' | 'name'>;

// What is looked at, and the way there: the page before begins behind the place before.
export interface BlocksView {
  readonly kind: BlockKind;
  readonly setKind: (kind: BlockKind) => void;
  readonly behind: readonly Place[];
  readonly setBehind: (behind: readonly Place[]) => void;
  readonly polled: Polled<ReturnType<typeof readBlocks>>;
}

export function useBlocks(server: Server, onExpire: () => void): BlocksView {
  const [kind, setKindOnly] = useState<BlockKind>('user');
  const [behind, setBehind] = useState<readonly Place[]>([]);
  const setKind = useCallback((next: BlockKind) => {
    setKindOnly(next);
    setBehind([]);
  }, []);
  const ask = useCallback(() => {
    const { tenant, name } = behind.at(-1) ?? { tenant: '', name: '' };
    return server.read(`blocks?${new URLSearchParams({ kind, tenant, after: name })}`, readBlocks);
  }, [server, kind, behind]);
  return { kind, setKind, behind, setBehind, polled: usePolled(ask, EVERY_MS, onExpire) };
}

export function BlocksTable({ view, acting }: { readonly view: BlocksView; readonly acting: Acting | null }) {
  const { words, formats } = useLook();
  const { columns } = words;
  const { kind, setKind, behind, setBehind, polled } = view;
  // While another kind is asked for, the page still has the answer of the one before.
  const value = polled.value?.kind === kind ? polled.value : null;
  const last = value?.blocks.at(-1);
  return (
    <Table
      title={words.blocked}
      columns={[
        columns['name']!, columns['tenant']!, columns['until']!,
        ...(kind === 'user_tokens' ? [columns['issuedBefore']!] : []), columns['act']!,
      ]}
      rows={(value?.blocks ?? []).map((row) => ({
        key: `${row.tenant} ${row.name}`,
        cells: [
          row.name, row.tenant, row.untilUnixMs === null ? words.forGood : formats.moment(row.untilUnixMs),
          ...(kind === 'user_tokens' ? [formats.moment(row.issuedBeforeUnixMs ?? 0)] : []),
          acting === null ? null : <Unblock row={row} kind={kind} acting={acting} words={words} />,
        ],
      }))}
    >
      <div class="tools">
        <label>
          {words.columns['kind']}{' '}
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value as BlockKind)}>
            {KINDS.map((one) => <option key={one} value={one}>{words.blockKinds[one]}</option>)}
          </select>
        </label>
      </div>
      <Asking polled={polled} />
      {(behind.length > 0 || value?.more === true) && (
        <div class="pager">
          <button class="quiet" disabled={behind.length === 0} onClick={() => setBehind(behind.slice(0, -1))}>{words.earlier}</button>
          <button
            class="quiet" disabled={value?.more !== true || last === undefined}
            onClick={() => last !== undefined && setBehind([...behind, { tenant: last.tenant, name: last.name }])}
          >
            {words.later}
          </button>
        </div>
      )}
    </Table>
  );
}

// Of what is kept out, users and addresses can be let in again; a token that is revoked stays so.
function Unblock({ row, kind, acting, words }: {
  readonly row: BlockRow; readonly kind: BlockKind; readonly acting: Acting; readonly words: Words;
}) {
  const { tenant, name } = row;
  const acts: Readonly<Partial<Record<BlockKind, ActBody>>> = {
    user: { act: 'unblock_user', user: name, ...inTenant(tenant) },
    address: { act: 'unblock_address', address: name },
  };
  const act = acts[kind];
  if (act === undefined) return null;
  return <button class="quiet" onClick={() => acting.ask(act, named(name, tenant))}>{words.unblock}</button>;
}
