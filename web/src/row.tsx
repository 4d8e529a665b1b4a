// One message, and one that is not sent yet.
//
// Everything that users wrote is a text node: nothing here makes markup of it, and only files lead
// anywhere.

import { type Entry, type Message } from 'rookery-chat-core';
import { Component, createRef } from 'preact';

import { Avatar, colourOf } from './avatar';
import { Attachments } from './files';
import type { Speech } from './words';

// What the menu offers to react with.
const REACTIONS = ['👍', '❤️', '😂', '🎉', '😮', '😢'];

export type Act = (message: Message, action: 'edit' | 'retract' | 'menu' | 'close', value?: string) => void;

interface RowProps {
  readonly message: Message;
  readonly isOwn: boolean;
  // Whether its author is named: not where it follows another one of the same.
  readonly isFirst: boolean;
  readonly day: string;
  readonly isDivided: boolean;
  readonly receipt: string;
  readonly edit: Entry | undefined;
  readonly isOpen: boolean;
  readonly isMarked: boolean;
  readonly speech: Speech;
  readonly onAct: Act;
  readonly onAgain: (entry: Entry, isWanted: boolean) => void;
}

export class Row extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    const names = Object.keys(next) as (keyof RowProps)[];
    return names.some((name) => next[name] !== this.props[name]);
  }

  override render() {
    const { message, isOwn, isFirst, day, isDivided, receipt, edit, isOpen, isMarked, speech, onAct, onAgain } = this.props;
    const { words, time, full } = speech;
    if (message.member !== null) {
      return (
        <article class="row" data-offset={message.offset}>
          {day !== '' && <p class="day"><span>{day}</span></p>}
          {isDivided && <p class="divider"><span>{words.newMessages}</span></p>}
          <p class="became" dir="auto">{words.became(message.author?.user ?? '', message.member)}</p>
        </article>
      );
    }
    const name = message.author === null ? words.server : message.author.name || message.author.user;
    const classes = ['row', isOwn && 'is-own', isFirst && 'is-first', isMarked && 'is-marked', isOpen && 'is-open'];
    return (
      <article class={classes.filter(Boolean).join(' ')} data-offset={message.offset}>
        {day !== '' && <p class="day"><span>{day}</span></p>}
        {isDivided && <p class="divider"><span>{words.newMessages}</span></p>}
        <div class="row-body">
          <div class="row-side">{isFirst && <Avatar name={message.author?.user ?? words.server} />}</div>
          <div class="row-main">
            {isFirst && (
              <p class="row-head">
                <bdi class={`author ink-${colourOf(message.author?.user ?? words.server)}`}>{name}</bdi>
                <time dateTime={new Date(message.time).toISOString()} title={full(message.time)}>{time(message.time)}</time>
              </p>
            )}
            <Words message={message} edit={edit} speech={speech} />
            <Attachments attachments={message.attachments} speech={speech} />
            <div class="row-foot">
              {message.reactions.totals.map(({ value, count }) => (
                <button
                  key={value} class="reaction" aria-pressed={message.reactions.own === value}
                  aria-label={words.reactedWith(value, count)} onClick={() => onAct(message, 'close', value)}
                >
                  <span>{value}</span> {count}
                </button>
              ))}
              {receipt !== '' && <span class="receipt">{receipt}</span>}
            </div>
            {edit?.state === 'failed' && <Failure entry={edit} speech={speech} onAgain={onAgain} />}
          </div>
          {!message.isRetracted && (
            <Menu message={message} name={name} isOwn={isOwn} isOpen={isOpen} speech={speech} onAct={onAct} />
          )}
        </div>
      </article>
    );
  }
}

function Words({ message, edit, speech: { words } }: { message: Message; edit: Entry | undefined; speech: Speech }) {
  if (message.isRetracted) return <p class="words is-gone">{words.retracted}</p>;
  if (edit !== undefined) {
    return (
      <p class="words is-pending" dir="auto">
        {edit.text} <span class="mark">{edit.state === 'failed' ? words.failed : words.sending}</span>
      </p>
    );
  }
  if (!message.isKnown) return <p class="words is-gone">{words.unknownForm}</p>;
  return (
    <p class="words" dir="auto">
      {message.text}{message.editOffset > 0 && <span class="mark"> ({words.edited})</span>}
    </p>
  );
}

interface MenuProps {
  readonly message: Message;
  readonly name: string;
  readonly isOwn: boolean;
  readonly isOpen: boolean;
  readonly speech: Speech;
  readonly onAct: Act;
}

// What can be done with a message. It opens above the row where there is no room below.
class Menu extends Component<MenuProps> {
  #button = createRef<HTMLButtonElement>();
  #menu = createRef<HTMLDivElement>();

  override componentDidUpdate(before: MenuProps): void {
    if (before.isOpen || !this.props.isOpen) return;
    const menu = this.#menu.current;
    const limit = menu?.closest('.scroller')?.getBoundingClientRect().bottom ?? Infinity;
    if (menu !== null && menu.getBoundingClientRect().bottom > limit) menu.classList.add('is-above');
    menu?.querySelector('button')?.focus();
  }

  override render() {
    const { message, name, isOwn, isOpen, speech: { words }, onAct } = this.props;
    const close = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      onAct(message, 'close');
      this.#button.current?.focus();
    };
    const leave = (event: FocusEvent) => {
      const to = event.relatedTarget;
      const isInside = to instanceof Node && (event.currentTarget as Node).contains(to);
      if (!isInside && this.props.isOpen) onAct(message, 'close');
    };
    return (
      <div class="row-actions" onKeyDown={close} onFocusOut={leave}>
        <button ref={this.#button} class="dots" aria-label={words.actions(name)} aria-expanded={isOpen}
          onClick={() => onAct(message, 'menu')}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <circle cx="3" cy="8" r="1.4" /><circle cx="8" cy="8" r="1.4" /><circle cx="13" cy="8" r="1.4" />
          </svg>
        </button>
        {isOpen && (
          <div class="menu" role="group" aria-label={words.actions(name)} ref={this.#menu}>
            <div class="menu-reactions">
              {REACTIONS.map((value) => (
                <button key={value} aria-label={words.react(value)} aria-pressed={message.reactions.own === value}
                  onClick={() => onAct(message, 'close', value)}>{value}</button>
              ))}
            </div>
            {isOwn && message.isKnown && <button class="menu-item" onClick={() => onAct(message, 'edit')}>{words.edit}</button>}
            {isOwn && <button class="menu-item" onClick={() => onAct(message, 'retract')}>{words.retract}</button>}
          </div>
        )}
      </div>
    );
  }
}

interface PendingProps {
  readonly entry: Entry;
  readonly speech: Speech;
  readonly onAgain: (entry: Entry, isWanted: boolean) => void;
}

// A message of this user that has not come back yet.
export function PendingRow({ entry, speech, onAgain }: PendingProps) {
  const { words } = speech;
  const state = { waiting: words.waiting, sending: words.sending, sent: words.sent, failed: words.failed };
  return (
    <article class="row is-own is-first is-unsent" data-state={entry.state}>
      <div class="row-body">
        <div class="row-side" />
        <div class="row-main">
          <p class="words is-pending" dir="auto">{entry.text}</p>
          <Attachments attachments={entry.attachments} speech={speech} />
          {entry.state === 'failed'
            ? <Failure entry={entry} speech={speech} onAgain={onAgain} />
            : <div class="row-foot"><span class="receipt">{state[entry.state]}</span></div>}
        </div>
      </div>
    </article>
  );
}

function Failure({ entry, speech: { words }, onAgain }: PendingProps) {
  return (
    <p class="failure" role="alert">
      {words.failed} ({entry.error})
      <button class="quiet" onClick={() => onAgain(entry, true)}>{words.retry}</button>
      <button class="quiet" onClick={() => onAgain(entry, false)}>{words.discard}</button>
    </p>
  );
}
