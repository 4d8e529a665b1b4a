// Letting all clients go: whoever begins it types the server's name; then it is shown how far it is.

import { useCallback, useState } from 'preact/hooks';

import { useActing } from './acting';
import type { PageProps } from './console-page';
import { useLook } from './context';

export function DrainPage({ server, session, drain, onDrain, onExpire }: PageProps) {
  const { words, formats } = useLook();
  const [name, setName] = useState('');
  const onDone = useCallback(() => {
    setName('');
    onDrain();
  }, [onDrain]);
  const acting = useActing(server, onDone, onExpire);
  const { instance } = session;
  if (drain !== null) {
    return (
      <section class="card stack">
        <h2>{words.readiness['draining']}</h2>
        <progress max={1} value={drain.gone} aria-label={words.readiness['draining']} />
        <p>{words.draining(formats.count(drain.left), formats.count(drain.first))}</p>
        <p class="detail">{words.drainTime(formats.span(drain.leftMs / 1000))}</p>
      </section>
    );
  }
  return (
    <section class="card stack">
      {acting.shown}
      <p>{words.drainHint}</p>
      {session.role !== 'act' ? <p class="detail">{words.mayOnlySee}</p> : (
        <>
          <label>
            {words.drainName(instance)}
            <input
              dir="auto" autocomplete="off" spellcheck={false} value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <div class="tools">
            <button class="danger" disabled={name !== instance} onClick={() => acting.ask({ act: 'drain', instance }, instance)}>
              {words.drainBegin}
            </button>
          </div>
        </>
      )}
    </section>
  );
}
