// An act: first it is asked for, then confirmed, then done, and said how it went.

import type { ComponentChild } from 'preact';
import { useCallback, useEffect, useId, useRef, useState } from 'preact/hooks';

import { useLook } from './context';
import type { ActBody, Server } from './server';

export interface Acting {
  // Asks whether this shall be done, about whom or what, and for how long where that was chosen.
  readonly ask: (body: ActBody, target: string, howLong?: string) => void;
  // The dialog, and what came of the last act.
  readonly shown: ComponentChild;
}

interface Wanted {
  readonly body: ActBody;
  readonly target: string;
  readonly howLong: string;
}

// A tenant as a part of an act; the only one is not named.
export const inTenant = (tenant: string) => (tenant === '' ? {} : { tenant });

// Whom an act is about, as people read it.
export const named = (name: string, tenant: string) => (tenant === '' ? name : `${name} (${tenant})`);

export function useActing(server: Server, onDone: () => void, onExpire: () => void): Acting {
  const { words } = useLook();
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const [said, setSaid] = useState<{ readonly text: string; readonly isGood: boolean } | null>(null);
  const ask = useCallback((body: ActBody, target: string, howLong = '') => {
    setSaid(null);
    setWanted({ body, target, howLong });
  }, []);
  const perform = async ({ body, target }: Wanted) => {
    setWanted(null);
    const answer = await server.act(body);
    const { outcome } = answer;
    switch (outcome.kind) {
      case 'good':
        setSaid({ text: words.done(words.confirm[body.act]?.(target) ?? body.act), isGood: true });
        return onDone();
      case 'signed-out': return onExpire();
      case 'later': return setSaid({ text: words.busy, isGood: false });
      case 'failed': return setSaid({ text: words.unsure, isGood: false });
      case 'refused': return setSaid({ text: words.refused(outcome.status, outcome.text), isGood: false });
    }
  };
  const shown = (
    <>
      {said !== null && <p class={said.isGood ? 'good-news' : 'notice'} role={said.isGood ? 'status' : 'alert'} dir="auto">{said.text}</p>}
      {wanted !== null && (
        <ConfirmDialog
          text={words.confirm[wanted.body.act]?.(wanted.target) ?? wanted.target} howLong={wanted.howLong}
          onYes={() => void perform(wanted)} onNo={() => setWanted(null)}
        />
      )}
    </>
  );
  return { ask, shown };
}

interface ConfirmProps {
  readonly text: string;
  readonly howLong: string;
  readonly onYes: () => void;
  readonly onNo: () => void;
}

// The browser's own dialog keeps the focus in, and gives it back.
function ConfirmDialog({ text, howLong, onYes, onNo }: ConfirmProps) {
  const { words } = useLook();
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onNo}>
      <h2 id={id}>{words.confirmTitle}</h2>
      <p dir="auto">{text}</p>
      {howLong !== '' && <p class="detail">{words.forHowLong}: {howLong}</p>}
      <div class="tools">
        <button class="quiet" onClick={onNo}>{words.cancel}</button>
        <button class="danger" onClick={onYes}>{words.yes}</button>
      </div>
    </dialog>
  );
}
