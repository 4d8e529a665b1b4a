// One conversation: its head, what is said, who is there, search, and where one writes.

import { type Attachment, type Chat, type Conversation, type Message, type Person } from 'rookery-chat-core';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';

import { Avatar } from './avatar';
import { Composer } from './composer';
import { useSpeech } from './context';
import { GroupPanel, Invitation, MutedMark } from './group';
import { MessageList, type MessageListHandle } from './message-list';
import { SideHead } from './side';

const RESULTS_MAX = 100;
// How often is looked whether there is something to learn of who read.
const LOOK_EVERY_MS = 1_000;

// What stands beside the messages.
type Side = 'none' | 'members' | 'search';

interface ConversationProps {
  readonly chat: Chat;
  readonly conversation: Conversation;
  readonly uploadUrl: string;
  readonly onBack: () => void;
  readonly onLeave: (conversation: Conversation) => void;
  readonly onTalk: (peer: string) => void;
}

export function ConversationView({ chat, conversation, uploadUrl, onBack, onLeave, onTalk }: ConversationProps) {
  const speech = useSpeech();
  const { words } = speech;
  const { channel, title, kind, members } = conversation;
  const [editing, setEditing] = useState<Message | null>(null);
  const [side, setSide] = useState<Side>('none');
  const list = useRef<MessageListHandle>(null);
  const isConnected = chat.state.kind === 'connected';

  // What is loaded is asked for when it is opened, and again when the connection is back.
  useEffect(() => {
    if (isConnected) void chat.look(channel);
  }, [chat, channel, isConnected, conversation.access.kind]);

  useEffect(() => {
    if (kind === 'direct') return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void chat.lookAtReceipts(channel);
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [chat, channel, kind]);

  const names = conversation.typing(Date.now());
  const typing = names.length === 0 ? '' : (names.length === 1 ? words.isTyping : words.areTyping)(speech.list(names));
  const submit = useCallback((text: string, attachments: readonly Attachment[]) => {
    if (editing === null) chat.say(channel, text, attachments);
    else if (text !== editing.text) chat.edit(channel, editing, text);
    setEditing(null);
    if (editing === null) list.current?.toEnd();
  }, [chat, channel, editing]);
  const isInvited = conversation.access.kind === 'invited';
  const editLast = useCallback(() => {
    const own = conversation.timeline.messages.findLast(({ author, isRetracted, isKnown, member }) =>
      author?.user === chat.me && !isRetracted && isKnown && member === null);
    if (own !== undefined) setEditing(own);
  }, [chat, conversation]);

  return (
    <div class="conversation">
      <Head conversation={conversation} side={side} onSide={setSide} onBack={onBack} onLeave={onLeave} />
      <div class="conversation-body">
        <div class="stream">
          {isInvited && (
            <Invitation conversation={conversation} onJoin={() => void chat.joinGroup(channel)}
              onDecline={() => onLeave(conversation)} />
          )}
          {conversation.access.kind === 'refused' && (
            <p class="banner ended" role="alert">
              {kind === 'group' ? words.refusedGroup : words.refusedRoom} ({conversation.access.code} {conversation.access.reason})
            </p>
          )}
          {!isInvited && (
            <>
              <MessageList handle={list} chat={chat} conversation={conversation} onEdit={setEditing} />
              <p class="typing" aria-live="polite" dir="auto">{typing}</p>
              <Composer
                key={editing === null ? 'new' : `edit-${editing.offset}`} title={title}
                initial={editing?.text ?? ''} isEditing={editing !== null} uploadUrl={editing === null ? uploadUrl : ''}
                onSubmit={submit} onCancel={() => setEditing(null)} onTyping={() => chat.types(channel)}
                onEditLast={editLast}
              />
            </>
          )}
        </div>
        {side === 'members' && kind === 'group' && (
          <GroupPanel chat={chat} conversation={conversation} onClose={() => setSide('none')} onTalk={onTalk} />
        )}
        {side === 'members' && kind === 'room' && (
          <People people={members.people} me={chat.me} onClose={() => setSide('none')} onTalk={onTalk} />
        )}
        {side === 'search' && (
          <Search messages={conversation.timeline.messages} onClose={() => setSide('none')}
            onGo={(offset) => list.current?.toOffset(offset)} />
        )}
      </div>
    </div>
  );
}

interface HeadProps {
  readonly conversation: Conversation;
  readonly side: Side;
  readonly onSide: (side: Side) => void;
  readonly onBack: () => void;
  readonly onLeave: (conversation: Conversation) => void;
}

function Head({ conversation, side, onSide, onBack, onLeave }: HeadProps) {
  const { words } = useSpeech();
  const { title, kind, access, members, roster } = conversation;
  const leave = kind === 'group' ? words.leaveGroup : words.leaveRoom;
  const toggle = (one: Side) => () => onSide(side === one ? 'none' : one);
  return (
    <header class="conversation-head">
      <button class="quiet back" aria-label={words.back} onClick={onBack}><Arrow /></button>
      <Avatar name={title} isRoom={kind === 'room'} />
      <h1 dir="auto">{title}</h1>
      {conversation.isMuted(Date.now()) && <MutedMark />}
      {kind === 'group' && access.kind === 'in' && (
        <button class="quiet" aria-expanded={side === 'members'} title={words.members} onClick={toggle('members')}>
          {roster.isLoaded ? words.membersCount(roster.count) : words.members}
        </button>
      )}
      {kind === 'room' && access.kind === 'in' && (
        <button class="quiet" aria-expanded={side === 'members'} title={words.whoIsHere} onClick={toggle('members')}>
          {words.here(members.count)}
        </button>
      )}
      {access.kind !== 'invited' && (
        <button class="quiet" aria-expanded={side === 'search'} aria-label={words.search} title={words.search}
          onClick={toggle('search')}>
          <Glass />
        </button>
      )}
      {kind !== 'direct' && access.kind !== 'invited' && (
        <button class="quiet" aria-label={leave} title={leave} onClick={() => onLeave(conversation)}>
          <Door />
        </button>
      )}
    </header>
  );
}

function People({ people, me, onClose, onTalk }: {
  people: readonly Person[]; me: string; onClose: () => void; onTalk: (peer: string) => void;
}) {
  const { words } = useSpeech();
  return (
    <aside class="side" aria-label={words.whoIsHere}>
      <SideHead title={words.whoIsHere} onClose={onClose} />
      <ul class="people">
        {people.map(({ user, name }) => (
          <li key={user}>
            <button class="person" disabled={user === me} onClick={() => onTalk(user)}>
              <Avatar name={user} isHere={true} />
              <span dir="auto">{name || user}</span>
              {user === me && <span class="detail">{words.you}</span>}
            </button>
          </li>
        ))}
      </ul>
    </aside>
  );
}

function Search({ messages, onClose, onGo }: {
  messages: readonly Message[]; onClose: () => void; onGo: (offset: number) => void;
}) {
  const { words, time, day } = useSpeech();
  const [wanted, setWanted] = useState('');
  const found = useMemo(() => {
    const small = wanted.trim().toLocaleLowerCase();
    if (small === '') return [];
    return messages.filter(({ text }) => text.toLocaleLowerCase().includes(small)).reverse();
  }, [messages, wanted]);
  return (
    <aside class="side" aria-label={words.search}>
      <SideHead title={words.search} onClose={onClose} />
      <input
        type="search" class="search-field" aria-label={words.searchIn} placeholder={words.searchIn} dir="auto"
        value={wanted} onInput={(event) => setWanted(event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Escape' && onClose()}
        ref={(element) => element?.focus()}
      />
      <p class="detail" role="status">
        {wanted.trim() === '' ? '' : found.length === 0 ? words.noResults : words.results(found.length)}
      </p>
      <ul class="results">
        {found.slice(0, RESULTS_MAX).map((message) => (
          <li key={message.offset}>
            <button class="result" onClick={() => onGo(message.offset)}>
              <span class="result-top">
                <bdi>{message.author?.name || message.author?.user || words.server}</bdi>
                <time>{day(message.time)}, {time(message.time)}</time>
              </span>
              <span class="result-text" dir="auto">{message.text}</span>
            </button>
          </li>
        ))}
      </ul>
    </aside>
  );
}

function Arrow() {
  return (
    <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true">
      <path d="M10 3 5 8l5 5" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" />
    </svg>
  );
}

function Glass() {
  return (
    <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true">
      <circle cx="7" cy="7" r="4.25" fill="none" stroke="currentColor" stroke-width="1.6" />
      <path d="m10.5 10.5 3 3" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />
    </svg>
  );
}

function Door() {
  return (
    <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true">
      <path d="M9 3H4v10h5M7 8h7m-2.5-2.5L14 8l-2.5 2.5" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />
    </svg>
  );
}
