// Who is in: asks for a token where nobody is signed in, and says why nobody can be.

import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';

import type { SessionAnswer } from 'rookery-console-core';

import { ConsolePage } from './console-page';
import { LookContext, lookOf, useLook, type Look } from './context';
import { LookSettings } from './look-settings';
import { keepLanguage, keepTheme, keptLanguage, keptTheme } from './preferences';
import { Server, type Answer } from './server';

type Stage =
  | { readonly kind: 'starting' }
  | { readonly kind: 'asking'; readonly why: string }
  | { readonly kind: 'in'; readonly session: SessionAnswer }
  | { readonly kind: 'out'; readonly why: string };

export function App() {
  const look = useKeptLook();
  const { words, formats } = look;
  const [server] = useState(() => new Server());
  const [stage, setStage] = useState<Stage>({ kind: 'starting' });

  // What a missing session means: somebody has to sign in, or nobody can.
  const settle = useCallback((answer: Answer<SessionAnswer>, isFirst: boolean) => {
    if (!('status' in answer)) return setStage({ kind: 'in', session: answer.value });
    const { outcome } = answer;
    switch (outcome.kind) {
      case 'signed-out': return setStage({ kind: 'asking', why: isFirst ? '' : words.tokenIsWrong });
      case 'later': return setStage({ kind: 'asking', why: words.wait(formats.span(outcome.afterSeconds)) });
      case 'failed': return setStage({ kind: 'out', why: words.cannotReach });
      case 'refused': {
        const isClosed = outcome.status === 403 && outcome.text.includes('admin token');
        const why = isClosed ? words.closed : words.refused(outcome.status, outcome.text);
        return setStage({ kind: 'out', why });
      }
    }
  }, [words, formats]);

  const start = useCallback(async () => settle(await server.session(), true), [server, settle]);
  // Once: a change of language asks nobody.
  useEffect(() => void start(), [server]);

  const signIn = useCallback(async (token: string) => settle(await server.signIn(token), false), [server, settle]);
  const signOut = useCallback(() => {
    setStage({ kind: 'asking', why: '' });
    void server.signOut();
  }, [server]);
  const expire = useCallback(
    () => setStage((now) => (now.kind === 'in' ? { kind: 'asking', why: words.sessionIsOver } : now)),
    [words],
  );

  return (
    <LookContext.Provider value={look}>
      {stage.kind === 'in'
        ? <ConsolePage server={server} session={stage.session} onSignOut={signOut} onExpire={expire} />
        : <Gate stage={stage} onToken={signIn} onStart={start} />}
    </LookContext.Provider>
  );
}

interface GateProps {
  readonly stage: Exclude<Stage, { readonly kind: 'in' }>;
  readonly onToken: (token: string) => Promise<void>;
  readonly onStart: () => Promise<void>;
}

function Gate({ stage, onToken, onStart }: GateProps) {
  const { words } = useLook();
  return (
    <main class="gate">
      <div class="gate-card">
        <img src="./icon.svg" alt="" width="48" height="48" />
        <h1>{words.title}</h1>
        {stage.kind === 'starting' && <p role="status">{words.loading}</p>}
        {stage.kind === 'asking' && <TokenForm why={stage.why} onToken={onToken} />}
        {stage.kind === 'out' && (
          <div class="stack" role="alert">
            <p dir="auto">{stage.why}</p>
            <button class="primary" onClick={() => void onStart()}>{words.tryAgain}</button>
          </div>
        )}
        <LookSettings />
      </div>
    </main>
  );
}

function TokenForm({ why, onToken }: { readonly why: string; readonly onToken: (token: string) => Promise<void> }) {
  const { words } = useLook();
  const [token, setToken] = useState('');
  const [isAsking, setIsAsking] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (token === '' || isAsking) return;
    setIsAsking(true);
    // It is in the field no longer than it is needed.
    setToken('');
    await onToken(token);
    setIsAsking(false);
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)}>
      <label for="token">{words.token}</label>
      <input
        id="token" type="password" autocomplete="current-password" spellcheck={false} value={token}
        aria-describedby="token-hint" aria-invalid={why !== ''}
        onInput={(event) => setToken(event.currentTarget.value)}
        ref={(element) => { if (element !== null && document.activeElement === document.body) element.focus(); }}
      />
      <p id="token-hint" class="detail">{words.tokenHint}</p>
      {why !== '' && <p class="trouble" role="alert">{why}</p>}
      <button class="primary" type="submit" disabled={isAsking}>{words.signIn}</button>
    </form>
  );
}

// Language and colours, as this browser remembers them.
function useKeptLook(): Look {
  const [language, setLanguage] = useState(keptLanguage);
  const [theme, setTheme] = useState(keptTheme);
  const look = useMemo(() => lookOf(language), [language]);
  useEffect(() => {
    document.documentElement.lang = look.tag;
    document.title = look.words.title;
  }, [look]);
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme;
  }, [theme]);
  return useMemo(() => ({
    ...look,
    theme,
    setLanguage: (next) => {
      keepLanguage(next);
      setLanguage(next);
    },
    setTheme: (next) => {
      keepTheme(next);
      setTheme(next);
    },
  }), [look, theme]);
}
