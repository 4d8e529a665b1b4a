// What this browser remembers: language and colours. No token, and nothing of the server.

import { languageOf, type Language } from './words';

export type Theme = 'system' | 'light' | 'dark';

const LANGUAGE_KEY = 'rookery.language';
const THEME_KEY = 'rookery.theme';

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
