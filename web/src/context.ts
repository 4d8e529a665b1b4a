// What all parts of the page share: the language, and how a change of it is asked for.

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

import type { Theme } from './preferences';
import { speech, type Language, type Speech } from './words';

export interface Look {
  readonly speech: Speech;
  readonly theme: Theme;
  readonly setLanguage: (language: Language) => void;
  readonly setTheme: (theme: Theme) => void;
}

export const LookContext = createContext<Look>({
  speech: speech('en'),
  theme: 'system',
  setLanguage: () => {},
  setTheme: () => {},
});

export function useSpeech(): Speech {
  return useContext(LookContext).speech;
}
