// Where one writes. Enter sends, Shift and Enter begins a line, the arrow up edits the last
// message of one's own.

import { TEXT_UNITS_MAX } from 'rookery-chat-core';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import { useSpeech } from './context';

interface ComposerProps {
  readonly title: string;
  readonly initial: string;
  readonly isEditing: boolean;
  readonly onSubmit: (text: string) => void;
  readonly onCancel: () => void;
  readonly onTyping: () => void;
  readonly onEditLast: () => void;
}

// What browsers that do not say `isComposing` give for a key that an input method took.
const KEY_OF_INPUT_METHOD = 229;

export function Composer({ title, initial, isEditing, onSubmit, onCancel, onTyping, onEditLast }: ComposerProps) {
  const { words } = useSpeech();
  const [text, setText] = useState(initial);
  const field = useRef<HTMLTextAreaElement>(null);
  const isLong = text.length > TEXT_UNITS_MAX;

  // As high as its text; the style sheet has the limit.
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);
  useLayoutEffect(() => {
    if (!isEditing) return;
    field.current?.focus();
    field.current?.setSelectionRange(initial.length, initial.length);
  }, [isEditing, initial]);

  const submit = () => {
    if (text.trim() === '' || isLong) return;
    onSubmit(text.trim());
    setText('');
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter that ends a composition chooses a word, and sends nothing.
    if (event.isComposing || event.keyCode === KEY_OF_INPUT_METHOD) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && isEditing) {
      onCancel();
    } else if (event.key === 'ArrowUp' && text === '' && !isEditing) {
      event.preventDefault();
      onEditLast();
    }
  };

  return (
    <form class="composer" onSubmit={(event) => {
      event.preventDefault();
      submit();
    }}>
      {isEditing && (
        <p class="composer-note">
          {words.editing}
          <button type="button" class="quiet" onClick={onCancel}>{words.cancel}</button>
        </p>
      )}
      {isLong && <p class="composer-note" role="alert">{words.tooLong(TEXT_UNITS_MAX)}</p>}
      <div class="composer-row">
        <textarea
          ref={field} rows={1} dir="auto" value={text} aria-label={words.messageTo(title)}
          placeholder={words.message} enterkeyhint="send"
          onInput={(event) => {
            setText(event.currentTarget.value);
            if (event.currentTarget.value !== '') onTyping();
          }}
          onKeyDown={onKeyDown}
        />
        <button class="primary send" type="submit" disabled={text.trim() === '' || isLong}>
          {isEditing ? words.save : words.send}
        </button>
      </div>
    </form>
  );
}
