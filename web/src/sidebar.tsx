// The list of conversations, with what is unread, and how to begin another one.

import { isPeer, type Conversation } from 'rookery-chat-core';
import { useContext, useState } from 'preact/hooks';

import { Avatar } from './avatar';
import { LookContext, useSpeech } from './context';
import { MutedMark } from './group';
import type { Theme } from './preferences';
import type { Language } from './words';

interface SidebarProps {
  readonly conversations: readonly Conversation[];
  readonly me: string;
  readonly open: string;
  readonly isConnected: boolean;
  readonly onOpen: (channel: string) => void;
  readonly onJoin: (id: string) => void;
  readonly onGroup: (title: string) => void;
  readonly onTalk: (peer: string) => void;
  readonly onSignOut: () => void;
}

// A channel's name has at most 255 bytes: `room:` and the id, or `group:`, the title and nine more.
const ROOM_UNITS_MAX = 80;

export function Sidebar({ conversations, me, open, isConnected, onOpen, onJoin, onGroup, onTalk, onSignOut }: SidebarProps) {
  const { words } = useSpeech();
  const rooms = conversations.filter(({ kind }) => kind === 'room').sort(byTitle);
  const groups = conversations.filter(({ kind }) => kind === 'group').sort(byTitle);
  const people = conversations.filter(({ kind }) => kind === 'direct').sort(byTime);
  const isRoom = (name: string) => !/\p{Cc}/u.test(name);
  return (
    <nav class="sidebar" aria-label={words.conversations}>
      <header class="sidebar-head">
        <Avatar name={me} isHere={isConnected} />
        <strong class="me" dir="auto">{me}</strong>
        <button class="quiet" onClick={onSignOut}>{words.signOut}</button>
      </header>
      <div class="lists">
        <Section
          title={words.rooms} conversations={rooms} open={open} onOpen={onOpen}
          add={words.addRoom} label={words.roomName} max={ROOM_UNITS_MAX} isGood={isRoom} onAdd={onJoin}
        />
        <Section
          title={words.groups} conversations={groups} open={open} onOpen={onOpen}
          add={words.addGroup} label={words.groupName} max={ROOM_UNITS_MAX} isGood={isRoom} onAdd={onGroup}
        />
        <Section
          title={words.people} conversations={people} open={open} onOpen={onOpen}
          add={words.addPerson} label={words.personName} max={64} isGood={(name) => isPeer(name, me)} onAdd={onTalk}
        />
      </div>
      <Settings />
    </nav>
  );
}

interface SectionProps {
  readonly title: string;
  readonly conversations: readonly Conversation[];
  readonly open: string;
  readonly onOpen: (channel: string) => void;
  readonly add: string;
  readonly label: string;
  readonly max: number;
  readonly isGood: (name: string) => boolean;
  readonly onAdd: (name: string) => void;
}

function Section({ title, conversations, open, onOpen, add, label, max, isGood, onAdd }: SectionProps) {
  const { words } = useSpeech();
  const [isAdding, setIsAdding] = useState(false);
  const [name, setName] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    if (!isGood(name.trim()) || name.trim() === '') return;
    onAdd(name.trim());
    setName('');
    setIsAdding(false);
  };
  return (
    <section>
      <div class="section-head">
        <h2>{title}</h2>
        <button class="add" aria-label={add} title={add} aria-expanded={isAdding} onClick={() => setIsAdding(!isAdding)}>
          <Plus />
        </button>
      </div>
      {isAdding && (
        <form class="add-form" onSubmit={submit}>
          <input
            aria-label={label} placeholder={label} dir="auto" maxLength={max} value={name}
            onInput={(event) => setName(event.currentTarget.value)}
            onKeyDown={(event) => event.key === 'Escape' && setIsAdding(false)}
            ref={(element) => element?.focus()}
          />
          <button class="primary" type="submit">{words.add}</button>
        </form>
      )}
      <ul class="conversations">
        {conversations.map((conversation) => (
          <li key={conversation.channel}>
            <Entry conversation={conversation} isOpen={conversation.channel === open} onOpen={onOpen} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Entry({ conversation, isOpen, onOpen }: {
  conversation: Conversation; isOpen: boolean; onOpen: (channel: string) => void;
}) {
  const { words, number, time } = useSpeech();
  const { title, kind, last, unread, channel, access } = conversation;
  const isMuted = conversation.isMuted(Date.now());
  const files = last?.attachments.map(({ name }) => name).join(' ') ?? '';
  const text = access.kind === 'invited' ? words.invitation : last === null ? ''
    : last.member !== null ? words.became(last.author?.user ?? '', last.member) : last.isRetracted ? words.retracted : last.isKnown ? last.text || files : words.unknownForm;
  const who = kind !== 'direct' && last?.author && last.member === null ? last.author.name || last.author.user : '';
  return (
    <a
      class="entry" href={`#${encodeURIComponent(channel)}`} aria-current={isOpen ? 'page' : undefined}
      onClick={(event) => {
        event.preventDefault();
        onOpen(channel);
      }}
    >
      <Avatar name={title} isRoom={kind === 'room'} />
      <span class="entry-words">
        <span class="entry-top">
          <span class="entry-title" dir="auto">{title}</span>
          {isMuted && <MutedMark />}
          {last !== null && <time class="entry-time">{time(last.time)}</time>}
        </span>
        <span class="entry-last" dir="auto">{who === '' ? text : words.says(who, text)}</span>
      </span>
      {unread > 0 && (
        <span class={isMuted ? 'badge is-muted' : 'badge'}>
          <span aria-hidden="true">{unread > 99 ? '99+' : number(unread)}</span>
          <span class="unseen">{words.unread(number(unread))}</span>
        </span>
      )}
    </a>
  );
}

function Settings() {
  const { speech, theme, setLanguage, setTheme } = useContext(LookContext);
  const { words } = speech;
  return (
    <footer class="settings">
      <label>
        <span class="unseen">{words.language}</span>
        <select value={speech.language} onChange={(event) => setLanguage(event.currentTarget.value as Language)}>
          <option value="en" lang="en">English</option>
          <option value="zh" lang="zh-CN">中文</option>
        </select>
      </label>
      <label>
        <span class="unseen">{words.theme}</span>
        <select value={theme} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          <option value="system">{words.system}</option>
          <option value="light">{words.light}</option>
          <option value="dark">{words.dark}</option>
        </select>
      </label>
    </footer>
  );
}

function Plus() {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d="M8 3v10M3 8h10" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" />
    </svg>
  );
}

function byTitle(one: Conversation, other: Conversation): number {
  return one.title < other.title ? -1 : 1;
}

function byTime(one: Conversation, other: Conversation): number {
  return (other.last?.time ?? 0) - (one.last?.time ?? 0) || byTitle(one, other);
}
