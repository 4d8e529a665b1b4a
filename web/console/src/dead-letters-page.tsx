// Direct messages that were given up, in pages of which each begins behind the one before; they wait
// for their readers again, or are forgotten. What they say is not shown.

import { useCallback, useState } from 'preact/hooks';

import { readDeadLetters, type DeadLetterRow } from 'rookery-console-core';

import { inTenant, named, useActing, type Acting } from './acting';
import { Asking } from './asking';
import type { PageProps } from './console-page';
import { useLook } from './context';
import { Table } from './table';
import { usePolled } from './use-polled';

const EVERY_MS = 10_000;

// Whose they are; those of all where the user is empty.
interface Reader {
  readonly tenant: string;
  readonly user: string;
}

const ALL: Reader = { tenant: '', user: '' };

export function DeadLettersPage({ track, ...props }: PageProps) {
  const { words } = useLook();
  // Where nothing is kept there is nothing to ask for.
  if (track.last?.store === null) {
    return <section class="card"><p class="detail">{words.noStore}</p></section>;
  }
  return <Letters track={track} {...props} />;
}

function Letters({ server, session, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const { columns } = words;
  const [reader, setReader] = useState(ALL);
  const [behind, setBehind] = useState<readonly string[]>([]);
  const [isWhole, setIsWhole] = useState(false);
  const show = useCallback((next: Reader) => {
    setReader(next);
    setBehind([]);
  }, []);
  const ask = useCallback(() => {
    const query = new URLSearchParams({ ...reader, after: behind.at(-1) ?? '' });
    return server.read(`dead-letters?${query}`, readDeadLetters);
  }, [server, reader, behind]);
  const polled = usePolled(ask, EVERY_MS, onExpire);
  const acting = useActing(server, polled.again, onExpire);
  const mayAct = session.role === 'act';
  const { value } = polled;
  const next = value?.next ?? null;
  return (
    <>
      {acting.shown}
      {!mayAct && <p class="detail">{words.mayOnlySee}</p>}
      <Table
        title={words.deadLetters} note={words.deadLettersNote} numeric={[2, 5]}
        columns={[
          columns['conversation']!, columns['tenant']!, columns['offset']!, columns['reader']!, columns['reason']!,
          columns['tries']!, columns['time']!, columns['act']!,
        ]}
        rows={(value?.letters ?? []).map((row) => ({
          key: `${row.tenant} ${row.channel} ${row.offset} ${row.user}`,
          cells: [
            row.channel, row.tenant, row.offset, row.user, words.deadLetterCauses[row.cause] ?? row.cause,
            formats.count(row.tries), formats.moment(row.atUnixMs),
            mayAct ? <Acts row={row} isWhole={isWhole} acting={acting} /> : null,
          ],
        }))}
      >
        <ReaderForm onReader={show} />
        {mayAct && (
          <label class="check">
            <input type="checkbox" checked={isWhole} onChange={(event) => setIsWhole(event.currentTarget.checked)} />
            {' '}{words.wholeConversation}
          </label>
        )}
        <Asking polled={polled} />
        {(behind.length > 0 || next !== null) && (
          <div class="pager">
            <button class="quiet" disabled={behind.length === 0} onClick={() => setBehind(behind.slice(0, -1))}>{words.earlier}</button>
            <button class="quiet" disabled={next === null} onClick={() => next !== null && setBehind([...behind, next])}>{words.later}</button>
          </div>
        )}
      </Table>
    </>
  );
}

function ReaderForm({ onReader }: { readonly onReader: (reader: Reader) => void }) {
  const { words } = useLook();
  const [user, setUser] = useState('');
  const [tenant, setTenant] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    // A tenant alone says nothing: a page is of one user, or of all.
    onReader(user === '' ? ALL : { tenant, user });
  };
  const field = (label: string, value: string, setValue: (value: string) => void) => (
    <label>
      {label}{' '}
      <input
        dir="auto" autocomplete="off" spellcheck={false} maxLength={255} value={value}
        onInput={(event) => setValue(event.currentTarget.value)}
      />
    </label>
  );
  return (
    <form class="tools" onSubmit={submit}>
      {field(words.deadLettersOf, user, setUser)}
      {field(words.tenant, tenant, setTenant)}
      <button class="quiet" type="submit">{words.show}</button>
    </form>
  );
}

function Acts({ row, isWhole, acting }: {
  readonly row: DeadLetterRow; readonly isWhole: boolean; readonly acting: Acting;
}) {
  const { words } = useLook();
  const { tenant, channel, offset } = row;
  const which = { channel, ...inTenant(tenant), ...(isWhole ? {} : { offset }) };
  const target = named(isWhole ? channel : `${channel} ${offset}`, tenant);
  return (
    <div class="tools">
      <button class="quiet" onClick={() => acting.ask({ act: 'requeue_dead_letters', ...which }, target)}>{words.requeue}</button>
      <button class="danger" onClick={() => acting.ask({ act: 'drop_dead_letters', ...which }, target)}>{words.drop}</button>
    </div>
  );
}
