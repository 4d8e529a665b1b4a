// The frame: which server this is and how it is, a list of pages, and the page that was chosen. It
// asks for a sample every two seconds, whichever page is shown.

import type { ComponentChild } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import { DrainWatch, Track, readSample, type DrainProgress, type SessionAnswer } from 'rookery-console-core';

import { AlertsPage } from './alerts-page';
import { AuditPage } from './audit-page';
import { BackendPage } from './backend-page';
import { ConnectionsPage } from './connections-page';
import { useLook } from './context';
import { DeadLettersPage } from './dead-letters-page';
import { DrainPage } from './drain-page';
import { FlightsPage } from './flights-page';
import { KeepingOutPage } from './keeping-out-page';
import { LookSettings } from './look-settings';
import { OverviewPage } from './overview-page';
import { RoomsPage } from './rooms-page';
import type { Server } from './server';
import { TenantsPage } from './tenants-page';
import { usePolled } from './use-polled';
import { TABS, type TabName } from './words';

const SAMPLE_MS = 2000;
// Numbers that are older than this are said to be.
const STALE_MS = 8000;

export interface ConsoleProps {
  readonly server: Server;
  readonly session: SessionAnswer;
  readonly onSignOut: () => void;
  readonly onExpire: () => void;
}

// What each page gets.
export interface PageProps {
  readonly server: Server;
  readonly session: SessionAnswer;
  readonly track: Track;
  readonly drain: DrainProgress | null;
  // A drain was begun here.
  readonly onDrain: () => void;
  readonly onExpire: () => void;
}

const PAGES: Readonly<Record<TabName, (props: PageProps) => ComponentChild>> = {
  overview: OverviewPage,
  rooms: RoomsPage,
  connections: ConnectionsPage,
  tenants: TenantsPage,
  backend: BackendPage,
  'keeping-out': KeepingOutPage,
  'dead-letters': DeadLettersPage,
  flights: FlightsPage,
  alerts: AlertsPage,
  audit: AuditPage,
  drain: DrainPage,
};

export function ConsolePage({ server, session, onSignOut, onExpire }: ConsoleProps) {
  const { words } = useLook();
  const tab = useTab();
  const live = useLive(server, onExpire);
  // A server without clients may end before a sample says that it drains.
  const [hasBegun, setHasBegun] = useState(false);
  const onDrain = useCallback(() => setHasBegun(true), []);
  const main = useRef<HTMLElement>(null);
  const Page = PAGES[tab];
  // A page that was chosen by a link begins where it begins, also for who does not see it.
  const shown = useRef(tab);
  useEffect(() => {
    if (shown.current !== tab) main.current?.focus();
    shown.current = tab;
  }, [tab]);
  return (
    <div class="console">
      <Header live={live} session={session} onSignOut={onSignOut} />
      <nav class="tabs" aria-label={words.menu}>
        {TABS.map((one) => (
          <a key={one} href={`#/${one}`} aria-current={one === tab ? 'page' : undefined}>{words.tabs[one]}</a>
        ))}
      </nav>
      <main ref={main} tabIndex={-1} aria-label={words.tabs[tab]}>
        <h1 class="unseen">{words.tabs[tab]}</h1>
        <Notices live={live} isDraining={hasBegun || live.drain !== null} />
        {live.track.last === null
          ? <p role="status">{words.loading}</p>
          : (
            <Page
              server={server} session={session} track={live.track} drain={live.drain} onDrain={onDrain}
              onExpire={onExpire}
            />
          )}
      </main>
    </div>
  );
}

interface Live {
  readonly track: Track;
  readonly drain: DrainProgress | null;
  // For how long no sample has come, in ms; 0 while they come.
  readonly silentMs: number;
  // Why there is none, where the server said so.
  readonly refusal: string | null;
}

function useLive(server: Server, onExpire: () => void): Live {
  const { words } = useLook();
  const [track] = useState(() => new Track(SAMPLE_MS));
  const [drains] = useState(() => new DrainWatch());
  // A new object for each sample, so that each is drawn.
  const [seen, setSeen] = useState<{ readonly drain: DrainProgress | null }>({ drain: null });
  const ask = useCallback(() => server.read('overview', readSample), [server]);
  const { value, atMs, outcome } = usePolled(ask, SAMPLE_MS, onExpire);
  useEffect(() => {
    if (value !== null && track.add(value)) setSeen({ drain: drains.on(value) });
  }, [value, track, drains]);
  const isMissing = outcome !== null && outcome.kind !== 'good';
  const now = useClock(isMissing);
  const refusal = outcome?.kind === 'refused' ? words.refused(outcome.status, outcome.text) : null;
  return { track, drain: seen.drain, silentMs: isMissing && atMs > 0 ? now - atMs : 0, refusal };
}

// The time, which goes on only while somebody needs it.
function useClock(isRunning: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    setNow(Date.now());
    if (!isRunning) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [isRunning]);
  return now;
}

function Header({ live, session, onSignOut }: {
  readonly live: Live; readonly session: SessionAnswer; readonly onSignOut: () => void;
}) {
  const { words, formats } = useLook();
  const sample = live.track.last;
  return (
    <header class="head">
      <img src="./icon.svg" alt="" width="28" height="28" />
      <div class="head-words">
        <strong dir="auto">{session.instance}</strong>
        {sample !== null && (
          <span class="detail">
            {words.version(sample.version)} · {words.up(formats.span((sample.nowUnixMs - sample.beganUnixMs) / 1000))}
          </span>
        )}
      </div>
      {sample !== null && (
        <>
          <span class={`badge badge-${sample.readiness}`}>{words.readiness[sample.readiness] ?? sample.readiness}</span>
          {sample.storeState !== 'absent' && (
            <span class={`badge badge-${sample.storeState}`}>{words.storeStates[sample.storeState] ?? sample.storeState}</span>
          )}
        </>
      )}
      <span class="space" />
      <LookSettings />
      <span class="who"><bdi>{session.operator}</bdi> <span class="detail">{words.roles[session.role]}</span></span>
      <button class="quiet" onClick={onSignOut}>{words.signOut}</button>
    </header>
  );
}

// What is to be known on every page.
function Notices({ live, isDraining }: { readonly live: Live; readonly isDraining: boolean }) {
  const { words, formats } = useLook();
  const { silentMs, refusal, drain } = live;
  const hasEnded = isDraining && silentMs > STALE_MS;
  return (
    <>
      {refusal !== null && <p class="notice" role="alert" dir="auto">{refusal}</p>}
      {hasEnded && <p class="notice" role="alert">{words.ended}</p>}
      {!hasEnded && silentMs > STALE_MS && (
        <p class="notice" role="alert">{words.stale(formats.span(silentMs / 1000))}</p>
      )}
      {!hasEnded && drain !== null && (
        <p class="notice" role="status">{words.draining(formats.count(drain.left), formats.count(drain.first))}</p>
      )}
    </>
  );
}

// The page that the address names.
function useTab(): TabName {
  const [tab, setTab] = useState(tabOfAddress);
  useEffect(() => {
    const change = () => setTab(tabOfAddress());
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, []);
  return tab;
}

function tabOfAddress(): TabName {
  const named = location.hash.replace(/^#\//, '');
  return TABS.find((one) => one === named) ?? 'overview';
}
