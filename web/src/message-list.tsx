// What is said in a conversation, as a list of which only the part in sight is drawn.
//
// Whoever reads at the end stays there; whoever reads elsewhere keeps the row in sight where it
// is, whatever comes above it. A screen reader is told of new messages by a region of its own,
// because rows that scrolling draws are no news.

import type { Chat, Conversation, Entry, Message } from 'rookery-chat-core';
import type { RefObject } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

import { useSpeech } from './context';
import { useDivider, useReading } from './reading';
import { PendingRow, Row, type Act } from './row';
import { useScrolling } from './scrolling';
import type { Speech } from './words';

export interface MessageListHandle {
  readonly toEnd: () => void;
  readonly toOffset: (offset: number) => void;
}

interface MessageListProps {
  readonly chat: Chat;
  readonly conversation: Conversation;
  readonly onEdit: (message: Message) => void;
  readonly handle: RefObject<MessageListHandle | null>;
}

// Messages of one person within this time stand together.
const TOGETHER_MS = 5 * 60_000;

export function MessageList({ chat, conversation, onEdit, handle }: MessageListProps) {
  const { words, number } = useSpeech();
  const { channel, timeline, title, unread } = conversation;
  const { messages } = timeline;
  const [marked, setMarked] = useState(0);
  const more = useCallback(() => {
    if (!conversation.isLoading && timeline.hasEarlier) void chat.loadEarlier(channel);
  }, [chat, channel, conversation, timeline]);
  const { scroller, range, isAtEnd, onScroll, toEnd, toOffset } = useScrolling(messages, more);
  const divider = useDivider(conversation, isAtEnd);
  useReading(chat, conversation, isAtEnd);
  useEffect(() => {
    handle.current = {
      toEnd,
      toOffset: (offset) => {
        setMarked(offset);
        toOffset(offset);
      },
    };
  }, [handle, toEnd, toOffset]);

  const isEmpty = messages.length === 0 && chat.outbox.of(channel).length === 0;
  return (
    <div class="message-list">
      <div class="scroller" ref={scroller} role="log" aria-live="off" aria-label={title} tabIndex={0} onScroll={onScroll}>
        {isEmpty && <p class="empty">{timeline.isLoaded ? words.nothingYet : words.loading}</p>}
        {messages.length > 0 && !timeline.hasEarlier && range.from === 0 && <p class="beginning">{words.beginning}</p>}
        <Space height={range.above} />
        <Rows chat={chat} conversation={conversation} from={range.from} to={range.to}
          divider={divider} marked={marked} onEdit={onEdit} below={range.below} />
      </div>
      {!isAtEnd && (
        <button class="to-end" onClick={toEnd}>
          {words.toTheEnd}{unread > 0 && ` (${number(unread)})`}
        </button>
      )}
      <News conversation={conversation} me={chat.me} />
    </div>
  );
}

interface RowsProps {
  readonly chat: Chat;
  readonly conversation: Conversation;
  readonly from: number;
  readonly to: number;
  // The height of the rows behind these, which are not drawn.
  readonly below: number;
  // The offset of the first message that is new, and of one that was looked for.
  readonly divider: number;
  readonly marked: number;
  readonly onEdit: (message: Message) => void;
}

// The rows that are drawn, and what is not sent yet.
function Rows({ chat, conversation, from, to, below, divider, marked, onEdit }: RowsProps) {
  const speech = useSpeech();
  const [menu, setMenu] = useState(0);
  const { channel, timeline: { messages } } = conversation;
  const act: Act = useCallback((message, action, value = '') => {
    if (action === 'menu') setMenu((open) => (open === message.offset ? 0 : message.offset));
    else setMenu(0);
    if (action === 'edit') onEdit(message);
    if (action === 'retract') void chat.retract(channel, message.offset);
    if (value !== '') {
      void chat.react(channel, message.offset, message.reactions.own === value ? '' : value);
    }
  }, [chat, channel, onEdit]);
  const again = useCallback((entry: Entry, isWanted: boolean) => {
    if (isWanted) chat.retry(entry.id);
    else chat.discard(entry.id);
  }, [chat]);

  const entries = chat.outbox.of(channel);
  const edits = new Map(entries.flatMap((entry) =>
    entry.deed.kind === 'edit' ? [[entry.deed.offset, entry] as const] : []));
  return (
    <>
      {messages.slice(from, to).map((message, at) => {
        const before = messages[from + at - 1];
        const isOwn = message.author?.user === chat.me;
        const isNewDay = before === undefined || speech.day(before.time) !== speech.day(message.time);
        return (
          <Row
            key={message.offset} message={message} isOwn={isOwn} speech={speech}
            isFirst={isNewDay || !isTogether(before, message) || divider === message.offset}
            day={isNewDay ? speech.day(message.time) : ''} isDivided={divider === message.offset}
            receipt={isOwn ? receiptOf(conversation, message.offset, speech) : ''}
            edit={edits.get(message.offset)} isOpen={menu === message.offset} isMarked={marked === message.offset}
            onAct={act} onAgain={again}
          />
        );
      })}
      <Space height={below} />
      {entries.filter(({ deed }) => deed.kind === 'say').map((entry) => (
        <PendingRow key={entry.id} entry={entry} speech={speech} onAgain={again} />
      ))}
    </>
  );
}

// The height of what is not drawn. Set by script, because the policy allows no style in markup.
function Space({ height }: { height: number }) {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (element.current !== null) element.current.style.height = `${height}px`;
  });
  return <div ref={element} aria-hidden="true" />;
}

// The last message of somebody else, said to those who do not see it.
function News({ conversation, me }: { conversation: Conversation; me: string }) {
  const { words } = useSpeech();
  const { last, timeline } = conversation;
  const atStart = useRef(0);
  if (atStart.current === 0 && timeline.isLoaded) atStart.current = Math.max(1, timeline.top);
  const isNews = last !== null && atStart.current > 0 && last.offset > atStart.current && last.author?.user !== me;
  const name = last?.author?.name || last?.author?.user || words.server;
  const text = !isNews ? '' : last.member === null ? words.says(name, last.text)
    : words.became(last.author?.user ?? '', last.member);
  return <p class="unseen" aria-live="polite">{text}</p>;
}

function isTogether(before: Message | undefined, message: Message): boolean {
  if (before === undefined || before.member !== null || message.member !== null) return false;
  return before.author?.user === message.author?.user && message.time - before.time < TOGETHER_MS;
}

function receiptOf(conversation: Conversation, offset: number, { words }: Speech): string {
  const { delivered, read } = conversation.receiptsOf(offset);
  if (conversation.kind !== 'direct') return read === 0 ? '' : words.readBy(read);
  return read > 0 ? words.read : delivered > 0 ? words.delivered : words.sent;
}
