// Where one writes. Enter sends, Shift and Enter begins a line, the arrow up edits the last
// message of one's own.

import { TEXT_UNITS_MAX, type Attachment } from 'rookery-chat-core';
import type { RefObject } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import { useSpeech } from './context';
import { FileList, attachmentsIn, useFiles } from './files';

interface ComposerProps {
  readonly title: string;
  readonly initial: string;
  readonly isEditing: boolean;
  // Empty where no files can be sent.
  readonly uploadUrl: string;
  readonly onSubmit: (text: string, attachments: readonly Attachment[]) => void;
  readonly onCancel: () => void;
  readonly onTyping: () => void;
  readonly onEditLast: () => void;
}

// What browsers that do not say `isComposing` give for a key that an input method took.
const KEY_OF_INPUT_METHOD = 229;

export function Composer(props: ComposerProps) {
  const { title, initial, isEditing, uploadUrl, onSubmit, onCancel, onTyping, onEditLast } = props;
  const { words } = useSpeech();
  const [text, setText] = useState(initial);
  const field = useRef<HTMLTextAreaElement>(null);
  const { files, add, remove, clear } = useFiles(uploadUrl);
  const isLong = text.length > TEXT_UNITS_MAX;
  // A file that is still on its way, or did not get there, holds the message back.
  const isReady = !isLong && files.every(({ state }) => state.kind === 'done')
    && (text.trim() !== '' || files.length > 0);

  useFit(field, text);
  useLayoutEffect(() => {
    if (!isEditing) return;
    field.current?.focus();
    field.current?.setSelectionRange(initial.length, initial.length);
  }, [isEditing, initial]);

  const submit = () => {
    if (!isReady) return;
    onSubmit(text.trim(), attachmentsIn(files));
    setText('');
    clear();
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
      <FileList files={files} onRemove={remove} />
      <div class="composer-row">
        {uploadUrl !== '' && <Attach onFiles={add} />}
        <textarea
          ref={field} rows={1} dir="auto" value={text} aria-label={words.messageTo(title)}
          placeholder={words.message} enterkeyhint="send"
          onInput={(event) => {
            setText(event.currentTarget.value);
            if (event.currentTarget.value !== '') onTyping();
          }}
          onKeyDown={onKeyDown}
        />
        <button class="primary send" type="submit" disabled={!isReady}>
          {isEditing ? words.save : words.send}
        </button>
      </div>
    </form>
  );
}

// Keeps the field as high as its text; the style sheet has the limit.
function useFit(field: RefObject<HTMLTextAreaElement | null>, text: string): void {
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [field, text]);
}

function Attach({ onFiles }: { onFiles: (files: readonly File[]) => void }) {
  const { words } = useSpeech();
  const picker = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={picker} class="unseen" type="file" multiple tabIndex={-1} aria-label={words.attach}
        onChange={(event) => {
          onFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = '';
        }}
      />
      <button type="button" class="quiet attach" aria-label={words.attach} title={words.attach}
        onClick={() => picker.current?.click()}>
        <Clip />
      </button>
    </>
  );
}

function Clip() {
  return (
    <svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true">
      <path
        d="m13 7.5-5.2 5.2a3 3 0 0 1-4.3-4.3L9 3a2 2 0 0 1 2.9 2.9l-5.3 5.2a1 1 0 0 1-1.5-1.4l4.7-4.6"
        fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round"
      />
    </svg>
  );
}
