// What this browser remembers: language, colours, and which rooms somebody is in; and a tab what its
// user said and the server does not have, until it is sent or the user signs out. Nothing else that
// was said, and no tokens.

import { entriesOf, isPeer, type Entry } from 'rookery-chat-core';

import { languageOf, type Language } from './words';

export type Theme = 'system' | 'light' | 'dark';

const LANGUAGE_KEY = 'rookery.language';
const THEME_KEY = 'rookery.theme';
const ROOMS_KEY = 'rookery.rooms.';
const PEERS_KEY = 'rookery.people.';
const UNSENT_KEY = 'rookery.unsent.';
const FIRST_ROOMS = ['lobby'];
const LIST_MAX = 100;

export function keptLanguage(): Language {
  const kept = localStorage.getItem(LANGUAGE_KEY);
  return kept === 'en' || kept === 'zh' ? kept : languageOf(navigator.languages);
}

export function keepLanguage(language: Language): void {
  localStorage.setItem(LANGUAGE_KEY, language);
}

export function keptTheme(): Theme {
  const kept = localStorage.getItem(THEME_KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

export function keepTheme(theme: Theme): void {
  localStorage.setItem(THEME_KEY, theme);
}

export function keptRooms(me: string): string[] {
  return keptList(ROOMS_KEY + me) ?? FIRST_ROOMS;
}

export function keepRooms(me: string, rooms: readonly string[]): void {
  localStorage.setItem(ROOMS_KEY + me, JSON.stringify(rooms));
}

// People whom this user wanted to write to; the server knows those who were written to.
export function keptPeople(me: string): string[] {
  return (keptList(PEERS_KEY + me) ?? []).filter((peer) => isPeer(peer, me));
}

export function keepPeople(me: string, people: readonly string[]): void {
  localStorage.setItem(PEERS_KEY + me, JSON.stringify(people.slice(-LIST_MAX)));
}

// What this user said in this tab before it was loaded again.
export function keptUnsent(me: string): Entry[] {
  try {
    return entriesOf(JSON.parse(sessionStorage.getItem(UNSENT_KEY + me) ?? '[]'));
  } catch {
    return [];
  }
}

export function keepUnsent(me: string, entries: readonly Entry[]): void {
  const key = UNSENT_KEY + me;
  if (entries.length === 0) {
    sessionStorage.removeItem(key);
    return;
  }
  try {
    sessionStorage.setItem(key, JSON.stringify(entries));
  } catch {
    // There is no room for it: then it waits as long as the page.
  }
}

function keptList(key: string): string[] | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
    if (!Array.isArray(kept)) return null;
    return kept.filter((one): one is string => typeof one === 'string' && one !== '').slice(0, LIST_MAX);
  } catch {
    return null;
  }
}
