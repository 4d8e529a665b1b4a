// Who chats: asks for a name where the page is for trying out, and shows why it cannot begin.

import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';

import { LookContext, useSpeech, type Look } from './context';
import { keepLanguage, keepTheme, keptLanguage, keptTheme } from './preferences';
import {
  begin, isName, isSignedOut, keepName, keptName, readConfig, signOut, type PageConfig, type Session,
} from './session';
import { Talk } from './talk';
import { speech } from './words';

type Stage =
  | { readonly kind: 'starting' }
  | { readonly kind: 'asking' }
  | { readonly kind: 'chatting'; readonly session: Session }
  | { readonly kind: 'signed-out' }
  | { readonly kind: 'over'; readonly why: string };

export function App() {
  const look = useLook();
  const [config, setConfig] = useState<PageConfig | null>(null);
  const [stage, setStage] = useState<Stage>({ kind: 'starting' });

  const enter = useCallback(async (known: PageConfig, name: string) => {
    setStage({ kind: 'starting' });
    try {
      const session = await begin(known, name);
      keepName(known.askName ? name : '');
      setStage({ kind: 'chatting', session });
    } catch (error) {
      setStage(isSignedOut(error) ? { kind: 'signed-out' } : { kind: 'over', why: reason(error) });
    }
  }, []);

  const start = useCallback(async () => {
    try {
      const known = await readConfig();
      setConfig(known);
      if (known.askName && keptName() === '') setStage({ kind: 'asking' });
      else await enter(known, keptName());
    } catch (error) {
      setStage({ kind: 'over', why: reason(error) });
    }
  }, [enter]);
  useEffect(() => void start(), [start]);

  const leave = useCallback(() => {
    if (config === null) return;
    setStage(config.askName ? { kind: 'asking' } : { kind: 'signed-out' });
    signOut(config).catch((error: unknown) => setStage({ kind: 'over', why: reason(error) }));
  }, [config]);
  const expire = useCallback(() => setStage({ kind: 'signed-out' }), []);

  return (
    <LookContext.Provider value={look}>
      {stage.kind === 'chatting' ? (
        <Talk session={stage.session} onSignOut={leave} onExpire={expire} key={stage.session.me} />
      ) : (
        <main class="gate">
          <div class="gate-card">
            <img class="gate-logo" src="./icon.svg" alt="" width="48" height="48" />
            <h1>{look.speech.words.title}</h1>
            {stage.kind === 'starting' && <p role="status">{look.speech.words.loading}</p>}
            {stage.kind === 'asking' && config !== null && (
              <NameForm onName={(name) => void enter(config, name)} />
            )}
            {stage.kind === 'signed-out' && (
              <div class="gate-form" role="alert">
                <p>{look.speech.words.signedOut}</p>
                {config !== null && config.loginUrl !== ''
                  ? <a class="primary" href={config.loginUrl}>{look.speech.words.logIn}</a>
                  : <button class="primary" onClick={() => void start()}>{look.speech.words.tryAgain}</button>}
              </div>
            )}
            {stage.kind === 'over' && (
              <div class="gate-form" role="alert">
                <p>{look.speech.words.cannotStart}</p>
                <p class="detail" dir="auto">{stage.why}</p>
                <button class="primary" onClick={() => void start()}>{look.speech.words.tryAgain}</button>
              </div>
            )}
          </div>
        </main>
      )}
    </LookContext.Provider>
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function NameForm({ onName }: { onName: (name: string) => void }) {
  const [name, setName] = useState('');
  const [isWrong, setIsWrong] = useState(false);
  const { words } = useSpeech();
  const submit = (event: Event) => {
    event.preventDefault();
    if (isName(name.trim())) onName(name.trim());
    else setIsWrong(true);
  };
  return (
    <form onSubmit={submit} class="gate-form">
      <label for="name">{words.yourName}</label>
      <input
        id="name" dir="auto" autocomplete="nickname" maxLength={64} value={name}
        aria-invalid={isWrong} aria-describedby="name-hint"
        onInput={(event) => setName(event.currentTarget.value)}
        ref={(element) => element?.focus()}
      />
      <p id="name-hint" class="detail">{isWrong ? words.nameIsWrong : words.signInHint}</p>
      <button class="primary" type="submit">{words.signIn}</button>
    </form>
  );
}

// Language and colours, as this browser remembers them.
function useLook(): Look {
  const [language, setLanguage] = useState(keptLanguage);
  const [theme, setTheme] = useState(keptTheme);
  useEffect(() => {
    document.documentElement.lang = speech(language).tag;
  }, [language]);
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme;
  }, [theme]);
  return useMemo(() => ({
    speech: speech(language),
    theme,
    setLanguage: (next) => {
      keepLanguage(next);
      setLanguage(next);
    },
    setTheme: (next) => {
      keepTheme(next);
      setTheme(next);
    },
  }), [language, theme]);
}
