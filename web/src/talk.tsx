// The chat of one user: the list, the conversation that is open, and the state of the
// connection.

import { Chat, isPeer, type ConnectionState, type Conversation, type Entry, type RequestError } from 'rookery-chat-core';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';

import { useSpeech } from './context';
import { ConversationView } from './conversation';
import { keepPeople, keepRooms, keepUnsent, keptPeople, keptRooms, keptUnsent } from './preferences';
import type { Session } from './session';
import { Sidebar } from './sidebar';

// How long a mistake stays on the page.
const NOTICE_MS = 6_000;
// What the SDK says when `getToken` was refused.
const UNAUTHORIZED_CODE = 1;

interface TalkProps {
  readonly session: Session;
  readonly onSignOut: () => void;
  // The backend gives no more tokens.
  readonly onExpire: () => void;
}

export function Talk({ session, onSignOut, onExpire }: TalkProps) {
  const speech = useSpeech();
  const [error, setError] = useState<RequestError | null>(null);
  const chat = useChat(session, setError);
  const [open, setOpen] = useOpenChannel();
  const isOnline = useOnline();
  const isExpired = chat.state.kind === 'ended' && chat.state.code === UNAUTHORIZED_CODE;
  useEffect(() => {
    if (isExpired) onExpire();
  }, [isExpired, onExpire]);

  useEffect(() => {
    if (error === null) return;
    const timer = setTimeout(() => setError(null), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [error]);

  const heard = chat.conversations.filter((conversation) => !conversation.isMuted(Date.now()));
  const unread = heard.reduce((sum, conversation) => sum + conversation.unread, 0);
  useEffect(() => {
    document.title = unread === 0 ? speech.words.title : `(${speech.number(unread)}) ${speech.words.title}`;
  }, [unread, speech]);
  useWarning(chat.outbox.entries.length > 0);

  const conversation = open === '' ? undefined : chat.conversation(open);
  const joinRoom = useCallback((id: string) => {
    setOpen(chat.join(id));
    keepRooms(chat.me, roomsOf(chat));
  }, [chat, setOpen]);
  const talkTo = useCallback((peer: string) => {
    if (!isPeer(peer, chat.me)) return;
    setOpen(chat.talkTo(peer));
    keepPeople(chat.me, [...new Set([...keptPeople(chat.me), peer])]);
  }, [chat, setOpen]);
  const signOut = useCallback(() => {
    chat.end();
    keepUnsent(chat.me, []);
    onSignOut();
  }, [chat, onSignOut]);
  const beginGroup = useCallback((title: string) => {
    void chat.beginGroup(title).then((channel) => channel !== '' && setOpen(channel));
  }, [chat, setOpen]);
  const leave = useCallback((left: Conversation) => {
    if (left.kind === 'group') {
      void chat.leaveGroup(left.channel).then((isDone) => isDone && setOpen(''));
      return;
    }
    chat.leave(left.channel);
    keepRooms(chat.me, roomsOf(chat));
    setOpen('');
  }, [chat, setOpen]);

  return (
    <div class={conversation === undefined ? 'talk' : 'talk has-open'}>
      <Sidebar
        conversations={chat.conversations} me={chat.me} open={open} isConnected={chat.state.kind === 'connected'}
        onOpen={setOpen} onJoin={joinRoom} onGroup={beginGroup} onTalk={talkTo} onSignOut={signOut}
      />
      <main class="pane">
        <Banner state={chat.state} isOnline={isOnline} onAgain={() => chat.connect()} />
        {conversation === undefined ? (
          <p class="empty">{speech.words.chooseOne}</p>
        ) : (
          <ConversationView
            key={conversation.channel} chat={chat} conversation={conversation} uploadUrl={session.uploadUrl}
            onBack={() => setOpen('')} onLeave={leave} onTalk={talkTo}
          />
        )}
        {error !== null && (
          <p class="toast" role="alert">{speech.words.error(error.code, error.message)}</p>
        )}
      </main>
    </div>
  );
}

function Banner({ state, isOnline, onAgain }: {
  state: ConnectionState; isOnline: boolean; onAgain: () => void;
}) {
  const { words } = useSpeech();
  const text = !isOnline ? words.offline : state.kind === 'connecting' ? words.connecting : '';
  return (
    <>
      <p class="banner" role="status" data-state={isOnline ? state.kind : 'offline'} hidden={text === ''}>{text}</p>
      {state.kind === 'ended' && (
        <p class="banner ended" role="alert">
          {words.ended} ({state.code} {state.reason}){' '}
          <button onClick={onAgain}>{words.tryAgain}</button>
        </p>
      )}
    </>
  );
}

function roomsOf(chat: Chat): string[] {
  return chat.conversations.filter(({ kind }) => kind === 'room').map(({ title }) => title);
}

// The chat of a session; what shows it is drawn anew at most once a frame.
function useChat(session: Session, onError: (error: RequestError) => void): Chat {
  const [, setVersion] = useState(0);
  const isDue = useRef(false);
  const chat = useMemo(() => {
    const draw = () => {
      isDue.current = false;
      setVersion((version) => version + 1);
    };
    let kept: readonly Entry[] | null = null;
    const { client, me } = session;
    const onChange = () => {
      // A page that is closed has no moment to do it then.
      if (kept !== made.outbox.entries) keepUnsent(me, made.outbox.unsent);
      kept = made.outbox.entries;
      if (isDue.current) return;
      isDue.current = true;
      // A page that nobody sees has no frames, and its title is seen all the same.
      if (document.hidden) setTimeout(draw, 0);
      else requestAnimationFrame(draw);
    };
    const made: Chat = new Chat({ client, me, onChange, onError, unsent: keptUnsent(me) });
    return made;
  }, [session, onError]);
  useEffect(() => {
    keptRooms(chat.me).forEach((id) => chat.join(id));
    keptPeople(chat.me).forEach((peer) => chat.talkTo(peer));
    chat.connect();
    return () => chat.end();
  }, [chat]);
  return chat;
}

// The conversation that is open stands in the address, behind `#`.
function useOpenChannel(): [string, (channel: string) => void] {
  const read = () => {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return '';
    }
  };
  const [open, setOpen] = useState(read);
  useEffect(() => {
    const follow = () => setOpen(read());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const go = useCallback((channel: string) => {
    location.hash = encodeURIComponent(channel);
    setOpen(channel);
  }, []);
  return [open, go];
}

function useOnline(): boolean {
  const [isOnline, setIsOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setIsOnline(navigator.onLine);
    addEventListener('online', look);
    addEventListener('offline', look);
    return () => {
      removeEventListener('online', look);
      removeEventListener('offline', look);
    };
  }, []);
  return isOnline;
}

// Whoever leaves the page is asked, while something is not sent: it would be lost.
function useWarning(isNeeded: boolean): void {
  useEffect(() => {
    if (!isNeeded) return;
    const warn = (event: Event) => event.preventDefault();
    addEventListener('beforeunload', warn);
    return () => removeEventListener('beforeunload', warn);
  }, [isNeeded]);
}

