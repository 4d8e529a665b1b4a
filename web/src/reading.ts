// What is read: what stands at the end of a page that somebody sees.

import type { Chat, Conversation } from 'rookery-chat-core';
import { useEffect, useRef } from 'preact/hooks';

// The first message that was not read when somebody came, or came while nobody looked.
export function useDivider(conversation: Conversation, isAtEnd: boolean): number {
  const divider = useRef(0);
  const wasLoaded = useRef(false);
  const { timeline, unread, readTo, me } = conversation;
  const isLooking = wasLoaded.current && isAtEnd && isSeen();
  if (timeline.isLoaded && unread > 0 && !isLooking && (divider.current <= readTo)) {
    const first = timeline.messages.find(({ offset, author, member }) =>
      offset > readTo && author?.user !== me && member === null);
    divider.current = first?.offset ?? 0;
  }
  wasLoaded.current ||= timeline.isLoaded;
  return divider.current;
}

// What is at the end of a page that somebody sees is read.
export function useReading(chat: Chat, conversation: Conversation, isAtEnd: boolean): void {
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
