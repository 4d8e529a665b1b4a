// The head of what stands beside the messages.

import { useSpeech } from './context';

export function SideHead({ title, onClose }: { title: string; onClose: () => void }) {
  const { words } = useSpeech();
  return (
    <div class="side-head">
      <h2>{title}</h2>
      <button class="quiet" aria-label={words.close} title={words.close} onClick={onClose}>✕</button>
    </div>
  );
}
