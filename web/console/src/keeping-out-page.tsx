// Acts that keep somebody out or let them in again: users and addresses, connections of a user, and
// kinds of clients. Who is kept out is listed.

import { useCallback, useState } from 'preact/hooks';

import { readQuarantine, type QuarantineRow } from 'rookery-console-core';

import { inTenant, named, useActing, type Acting } from './acting';
import { Asking } from './asking';
import { BlocksTable, useBlocks } from './blocks-table';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 10_000;
const HOURS = [1, 24, 168, 720] as const;

export function KeepingOutPage({ server, session, onExpire }: PageProps) {
  const { words } = useLook();
  const ask = useCallback(() => server.read('quarantine', readQuarantine), [server]);
  const prefixes = usePolled(ask, EVERY_MS, onExpire);
  const blocks = useBlocks(server, onExpire);
  const [againPrefixes, againBlocks] = [prefixes.again, blocks.polled.again];
  const again = useCallback(() => {
    againPrefixes();
    againBlocks();
  }, [againPrefixes, againBlocks]);
  const acting = useActing(server, again, onExpire);
  const mayAct = session.role === 'act';
  return (
    <>
      {acting.shown}
      {mayAct ? <ActForms acting={acting} /> : <p class="detail">{words.mayOnlySee}</p>}
      <BlocksTable view={blocks} acting={mayAct ? acting : null} />
      <Asking polled={prefixes} />
      {prefixes.value !== null && <PrefixesTable prefixes={prefixes.value} acting={mayAct ? acting : null} />}
    </>
  );
}

// A number of hours as seconds; none for good, or for the configured time.
const seconds = (hours: number) => (hours === 0 ? {} : { seconds: hours * 3600 });

function ActForms({ acting }: { readonly acting: Acting }) {
  const { words } = useLook();
  const [user, setUser] = useState('');
  const [tenant, setTenant] = useState('');
  const [writtenAddress, setAddress] = useState('');
  const [writtenPrefix, setPrefix] = useState('');
  const [hours, setHours] = useState(24);
  // Of a user's name a space may be a part; around these it is what was copied with them.
  const [address, prefix] = [writtenAddress.trim(), writtenPrefix.trim()];
  const span = hours === 0 ? words.forGood : words.hours(hours);
  // A quarantine ends after a day at the latest.
  const holdHours = Math.min(hours, 24);
  const holdSpan = holdHours === 0 ? words.configuredTime : words.hours(holdHours);
  const about = (act: string) => {
    const isBlock = act === 'block_user';
    acting.ask(
      { act, user, ...inTenant(tenant), ...(isBlock ? seconds(hours) : {}) }, named(user, tenant), isBlock ? span : '',
    );
  };
  return (
    <section class="card acts">
      <label>
        {words.forHowLong}
        <select value={hours} onChange={(event) => setHours(Number(event.currentTarget.value))}>
          {HOURS.map((one) => <option key={one} value={one}>{words.hours(one)}</option>)}
          <option value={0}>{words.forGood}</option>
        </select>
      </label>
      <fieldset>
        <legend>{words.user}</legend>
        <Field label={words.user} value={user} onValue={setUser} />
        <Field label={words.tenant} value={tenant} onValue={setTenant} />
        <div class="tools">
          <button class="danger" disabled={user === ''} onClick={() => about('block_user')}>{words.block}</button>
          <button class="quiet" disabled={user === ''} onClick={() => about('unblock_user')}>{words.unblock}</button>
          <button class="quiet" disabled={user === ''} onClick={() => about('disconnect_user')}>{words.disconnect}</button>
        </div>
      </fieldset>
      <fieldset>
        <legend>{words.addresses}</legend>
        <Field label={words.address} value={writtenAddress} onValue={setAddress} />
        <div class="tools">
          <button class="danger" disabled={address === ''} onClick={() => acting.ask({ act: 'block_address', address, ...seconds(hours) }, address, span)}>{words.block}</button>
          <button class="quiet" disabled={address === ''} onClick={() => acting.ask({ act: 'unblock_address', address }, address)}>{words.unblock}</button>
        </div>
      </fieldset>
      <fieldset>
        <legend>{words.quarantine}</legend>
        <Field label={words.prefix} value={writtenPrefix} onValue={setPrefix} />
        <div class="tools">
          <button class="danger" disabled={prefix === ''} onClick={() => acting.ask({ act: 'quarantine', prefix, ...seconds(holdHours) }, prefix, holdSpan)}>{words.hold}</button>
        </div>
      </fieldset>
    </section>
  );
}

function Field({ label, value, onValue }: {
  readonly label: string; readonly value: string; readonly onValue: (value: string) => void;
}) {
  return (
    <label>
      {label}
      <input
        dir="auto" autocomplete="off" spellcheck={false} maxLength={255} value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
    </label>
  );
}

function PrefixesTable({ prefixes, acting }: {
  readonly prefixes: readonly QuarantineRow[]; readonly acting: Acting | null;
}) {
  const { words, formats } = useLook();
  const { columns } = words;
  return (
    <Table
      title={words.quarantine} note={words.quarantineHint}
      columns={[columns['prefix']!, columns['by']!, columns['held']!, columns['left']!, columns['act']!]}
      rows={prefixes.map(({ prefix, by, heldSeconds, leftSeconds }) => ({
        key: prefix,
        cells: [
          <code>{prefix}</code>, by, formats.span(heldSeconds), formats.span(leftSeconds),
          acting === null ? null
            : <button class="quiet" onClick={() => acting.ask({ act: 'release', prefix }, prefix)}>{words.release}</button>,
        ],
      }))}
    />
  );
}
