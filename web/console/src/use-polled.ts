// An answer of the server that is asked for again and again while somebody looks.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import { Polling, type Outcome } from 'rookery-console-core';

import type { Answer } from './server';

export interface Polled<T> {
  // The last answer there was.
  readonly value: T | null;
  // When it came, by this page's clock.
  readonly atMs: number;
  readonly outcome: Outcome | null;
  readonly again: () => void;
}

// Asks once, and then every so many ms; with 0 only once, and again when the page asks for it.
// `onSignedOut` must stay the same.
export function usePolled<T>(
  ask: () => Promise<Answer<T>>, everyMs: number, onSignedOut: () => void,
): Polled<T> {
  const [state, setState] = useState<Omit<Polled<T>, 'again'>>({ value: null, atMs: 0, outcome: null });
  const wake = useRef<() => void>(() => {});
  useEffect(() => {
    const polling = new Polling(everyMs);
    let [timer, isOver, isUnderWay] = [0, false, false];
    const run = async () => {
      if (isUnderWay || isOver) return;
      clearTimeout(timer);
      isUnderWay = true;
      const answer = await ask();
      isUnderWay = false;
      if (isOver) return;
      if (answer.outcome.kind === 'signed-out') onSignedOut();
      setState((before) => ({
        value: 'value' in answer ? answer.value : before.value,
        atMs: 'value' in answer ? Date.now() : before.atMs,
        outcome: answer.outcome,
      }));
      const afterMs = polling.next(answer.outcome);
      if (afterMs !== null && everyMs > 0) timer = window.setTimeout(() => void run(), afterMs);
    };
    const look = () => {
      polling.setSeen(!document.hidden);
      if (document.hidden) clearTimeout(timer);
      else if (everyMs > 0) void run();
    };
    wake.current = () => void run();
    polling.setSeen(!document.hidden);
    document.addEventListener('visibilitychange', look);
    void run();
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', look);
    };
  }, [ask, everyMs, onSignedOut]);
  const again = useCallback(() => wake.current(), []);
  return { ...state, again };
}
