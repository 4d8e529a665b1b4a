// What is said in a conversation, as a list of which only the part in sight is drawn.
//
// Whoever reads at the end stays there; whoever reads elsewhere keeps the row in sight where it
// is, whatever comes above it. A screen reader is told of new messages by a region of its own,
// because rows that scrolling draws are no news.

import { rowsInView, topOf, type Chat, type Conversation, type Entry, type Message } from 'rookery-chat-core';
import type { RefObject } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

import { useSpeech } from './context';
import { PendingRow, Row } from './row';

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

// What a row is taken to be high before it was drawn.
const GUESS_PX = 60;
// What is drawn beyond what is in sight, on each side.
const MARGIN_PX = 700;
// So near to the end counts as there.
const END_PX = 48;
// So near to the beginning more is loaded.
const EARLIER_PX = 900;
// Messages of one person within this time stand together.
const TOGETHER_MS = 5 * 60_000;

// Where somebody reads: a row, and how far below the upper edge it begins.
interface Anchor {
  readonly offset: number;
  readonly top: number;
}

export function MessageList({ chat, conversation, onEdit, handle }: MessageListProps) {
  const speech = useSpeech();
  const { words } = speech;
  const { channel, timeline } = conversation;
  const messages = timeline.messages;
  const [, setFrame] = useState(0);
  const draw = useCallback(() => setFrame((frame) => frame + 1), []);
  const [menu, setMenu] = useState(0);
  const [marked, setMarked] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const heights = useRef(new Map<number, number>());
  const place = useRef<{ isAtEnd: boolean; anchor: Anchor | null; height: number }>({
    isAtEnd: true, anchor: null, height: 800,
  });
  const drawn = useRef({ from: 0, to: 0 });
  const divider = useDivider(conversation, place.current.isAtEnd);

  const heightOf = (index: number) => heights.current.get(messages[index]!.offset);
  const { isAtEnd, anchor, height } = place.current;
  const scrollTop = isAtEnd || anchor === null
    ? topOf(messages.length, heightOf, GUESS_PX) - height
    : topOf(indexOf(messages, anchor.offset), heightOf, GUESS_PX) - anchor.top;
  const range = rowsInView({ count: messages.length, heightOf, guess: GUESS_PX, scrollTop, height, margin: MARGIN_PX });
  drawn.current = range;

  const settle = useCallback(() => {
    const element = scroller.current;
    if (element === null) return;
    place.current = { ...place.current, height: element.clientHeight, anchor: anchorOf(element) };
  }, []);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const isNew = measure(element, heights.current);
    const before = place.current;
    if (before.isAtEnd) element.scrollTop = element.scrollHeight;
    else if (before.anchor !== null) keepInPlace(element, before.anchor);
    const isOtherHeight = before.height !== element.clientHeight;
    // From here on the row counts that is in sight now, since what was drawn may be elsewhere.
    settle();
    if (isNew || isOtherHeight) draw();
  });

  const more = useCallback(() => {
    const element = scroller.current;
    if (element === null || conversation.isLoading || !timeline.hasEarlier) return;
    if (element.scrollTop < EARLIER_PX) void chat.loadEarlier(channel);
  }, [chat, channel, conversation, timeline]);
  const onScroll = () => {
    const element = scroller.current;
    if (element === null) return;
    const wasAtEnd = place.current.isAtEnd;
    const isNowAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    place.current = { ...place.current, isAtEnd: isNowAtEnd };
    settle();
    more();
    const { from, to } = drawn.current;
    const next = rowsInView({
      count: messages.length, heightOf, guess: GUESS_PX, margin: MARGIN_PX / 2,
      scrollTop: element.scrollTop, height: element.clientHeight,
    });
    if (next.from < from || next.to > to || wasAtEnd !== isNowAtEnd) draw();
  };
  useEffect(() => more());
  useReading(chat, conversation, place.current.isAtEnd);
  useEffect(() => {
    const observer = new ResizeObserver(draw);
    if (scroller.current !== null) observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [draw]);

  useEffect(() => {
    handle.current = {
      toEnd: () => {
        place.current = { ...place.current, isAtEnd: true };
        draw();
      },
      toOffset: (offset) => {
        place.current = { ...place.current, isAtEnd: false, anchor: { offset, top: place.current.height / 3 } };
        setMarked(offset);
        draw();
      },
    };
  }, [handle, draw]);

  const act = useCallback((message: Message, action: 'edit' | 'retract' | 'menu' | 'close', value = '') => {
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
  const rows = messages.slice(range.from, range.to).map((message, at) => {
    const before = messages[range.from + at - 1];
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
  });

  return (
    <div class="message-list">
      <div class="scroller" ref={scroller} role="log" aria-live="off" aria-label={conversation.title}
        tabIndex={0} onScroll={onScroll}>
        {messages.length === 0 && entries.length === 0 && (
          <p class="empty">{timeline.isLoaded ? words.nothingYet : words.loading}</p>
        )}
        {messages.length > 0 && !timeline.hasEarlier && range.from === 0 && <p class="beginning">{words.beginning}</p>}
        <Space height={range.above} />
        {rows}
        <Space height={range.below} />
        {entries.filter(({ deed }) => deed.kind === 'say').map((entry) => (
          <PendingRow key={entry.id} entry={entry} speech={speech} onAgain={again} />
        ))}
      </div>
      {!isAtEnd && (
        <button class="to-end" onClick={() => handle.current?.toEnd()}>
          {words.toTheEnd}{conversation.unread > 0 && ` (${speech.number(conversation.unread)})`}
        </button>
      )}
      <News conversation={conversation} me={chat.me} />
    </div>
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
  return <p class="unseen" aria-live="polite">{isNews ? words.says(name, last.text) : ''}</p>;
}

// The first message that was not read when somebody came, or came while nobody looked.
function useDivider(conversation: Conversation, isAtEnd: boolean): number {
  const divider = useRef(0);
  const wasLoaded = useRef(false);
  const { timeline, unread, readTo, me } = conversation;
  const isLooking = wasLoaded.current && isAtEnd && isSeen();
  if (timeline.isLoaded && unread > 0 && !isLooking && (divider.current <= readTo)) {
    const first = timeline.messages.find(({ offset, author }) => offset > readTo && author?.user !== me);
    divider.current = first?.offset ?? 0;
  }
  wasLoaded.current ||= timeline.isLoaded;
  return divider.current;
}

// What is at the end of a page that somebody sees is read.
function useReading(chat: Chat, conversation: Conversation, isAtEnd: boolean): void {
  const { channel } = conversation;
  // What was loaded since it was drawn is not read yet.
  const isShown = isAtEnd && conversation.timeline.isLoaded;
  useEffect(() => {
    if (isShown && isSeen()) chat.readAll(channel);
  });
  useEffect(() => {
    const look = () => {
      if (isShown && isSeen()) chat.readAll(channel);
    };
    addEventListener('focus', look);
    document.addEventListener('visibilitychange', look);
    return () => {
      removeEventListener('focus', look);
      document.removeEventListener('visibilitychange', look);
    };
  }, [chat, channel, isShown]);
}

function isSeen(): boolean {
  return document.visibilityState === 'visible' && document.hasFocus();
}

function isTogether(before: Message | undefined, message: Message): boolean {
  return before?.author?.user === message.author?.user && message.time - (before?.time ?? 0) < TOGETHER_MS;
}

function receiptOf(conversation: Conversation, offset: number, { words }: { words: ReturnType<typeof useSpeech>['words'] }): string {
  const { delivered, read } = conversation.receiptsOf(offset);
  if (conversation.kind === 'room') return read === 0 ? '' : words.readBy(read);
  return read > 0 ? words.read : delivered > 0 ? words.delivered : words.sent;
}

function indexOf(messages: readonly Message[], offset: number): number {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function rowsOf(scroller: HTMLElement): HTMLElement[] {
  return [...scroller.querySelectorAll<HTMLElement>(':scope > [data-offset]')];
}

// Writes down how high the rows are that are drawn; whether one is another than was known.
function measure(scroller: HTMLElement, heights: Map<number, number>): boolean {
  let isNew = false;
  for (const row of rowsOf(scroller)) {
    const offset = Number(row.dataset['offset']);
    const height = row.getBoundingClientRect().height;
    if (Math.abs((heights.get(offset) ?? 0) - height) < 0.5) continue;
    heights.set(offset, height);
    isNew = true;
  }
  return isNew;
}

// The first row in sight.
function anchorOf(scroller: HTMLElement): Anchor | null {
  const edge = scroller.getBoundingClientRect().top;
  for (const row of rowsOf(scroller)) {
    const { top, bottom } = row.getBoundingClientRect();
    if (bottom > edge) return { offset: Number(row.dataset['offset']), top: top - edge };
  }
  return null;
}

// Scrolls so that the row is where it was.
function keepInPlace(scroller: HTMLElement, { offset, top }: Anchor): void {
  const row = scroller.querySelector<HTMLElement>(`:scope > [data-offset="${offset}"]`);
  if (row === null) return;
  const moved = row.getBoundingClientRect().top - scroller.getBoundingClientRect().top - top;
  if (Math.abs(moved) > 0.5) scroller.scrollTop += moved;
}
