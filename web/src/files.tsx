// Files on their way into a message, and those of a message that is there.

import { ATTACHMENTS_MAX, upload, type Attachment } from 'rookery-chat-core';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import { useSpeech } from './context';
import type { Speech } from './words';

type UploadState =
  | { readonly kind: 'uploading' }
  | { readonly kind: 'done'; readonly attachment: Attachment }
  | { readonly kind: 'failed'; readonly why: string };

export interface ChosenFile {
  readonly id: number;
  readonly name: string;
  readonly bytes: number;
  readonly state: UploadState;
}

// Files that were chosen; each is uploaded at once, and given up when it is removed.
export function useFiles(uploadUrl: string) {
  const [files, setFiles] = useState<readonly ChosenFile[]>([]);
  const uploads = useRef(new Map<number, AbortController>());
  const nextId = useRef(1);
  const settle = useCallback((id: number, state: UploadState) => {
    setFiles((known) => known.map((file) => (file.id === id ? { ...file, state } : file)));
  }, []);
  const add = useCallback((chosen: readonly File[]) => {
    const fresh = chosen.slice(0, ATTACHMENTS_MAX - files.length).map((file) => ({ file, id: nextId.current++ }));
    setFiles((known) => [...known, ...fresh.map(({ file, id }): ChosenFile =>
      ({ id, name: file.name, bytes: file.size, state: { kind: 'uploading' } }))]);
    for (const { file, id } of fresh) {
      const controller = new AbortController();
      uploads.current.set(id, controller);
      upload(uploadUrl, file, controller.signal).then(
        (attachment) => settle(id, { kind: 'done', attachment }),
        (error: unknown) => settle(id, { kind: 'failed', why: error instanceof Error ? error.message : String(error) }),
      );
    }
  }, [uploadUrl, files.length, settle]);
  const remove = useCallback((id: number) => {
    uploads.current.get(id)?.abort();
    setFiles((known) => known.filter((file) => file.id !== id));
  }, []);
  const clear = useCallback(() => setFiles([]), []);
  useEffect(() => () => uploads.current.forEach((controller) => controller.abort()), []);
  return { files, add, remove, clear };
}

export function attachmentsIn(files: readonly ChosenFile[]): Attachment[] {
  return files.flatMap(({ state }) => (state.kind === 'done' ? [state.attachment] : []));
}

export function FileList({ files, onRemove }: { files: readonly ChosenFile[]; onRemove: (id: number) => void }) {
  const { words, tag } = useSpeech();
  if (files.length === 0) return null;
  return (
    <ul class="files" aria-label={words.files}>
      {files.map(({ id, name, bytes, state }) => (
        <li key={id} class="file" data-state={state.kind}>
          <bdi class="file-name">{name}</bdi>
          <span class="detail" role="status">
            {state.kind === 'uploading' ? words.uploading : state.kind === 'failed'
              ? `${words.uploadFailed} (${state.why})` : size(bytes, tag)}
          </span>
          <button type="button" class="quiet" aria-label={words.remove(name)} onClick={() => onRemove(id)}>✕</button>
        </li>
      ))}
    </ul>
  );
}

// The files of a message. The host is shown, since whoever wrote the message chose it.
export function Attachments({ attachments, speech: { words, tag } }: {
  attachments: readonly Attachment[]; speech: Speech;
}) {
  if (attachments.length === 0) return null;
  return (
    <ul class="files" aria-label={words.files}>
      {attachments.map(({ url, name, bytes }) => (
        <li key={url} class="file">
          <a class="file-name" href={url} target="_blank" rel="noopener noreferrer nofollow"><bdi>{name}</bdi></a>
          <span class="detail">{size(bytes, tag)} · <bdi>{new URL(url).host}</bdi></span>
        </li>
      ))}
    </ul>
  );
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

// Bytes as people write them.
function size(bytes: number, tag: string): string {
  let [amount, at] = [bytes, 0];
  while (amount >= 1000 && at < UNITS.length - 1) {
    amount /= 1000;
    at += 1;
  }
  const unit = UNITS[at] ?? 'byte';
  return new Intl.NumberFormat(tag, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: 1 }).format(amount);
}
