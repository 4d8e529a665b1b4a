// What all parts of the page share: the language with its numbers, the colours, and how a change
// of them is asked for.

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

import { formats, type Formats } from 'rookery-console-core';

import type { Theme } from './preferences';
import { WORDS, tagOf, type Language, type Words } from './words';

export interface Look {
  readonly language: Language;
  readonly tag: string;
  readonly words: Words;
  readonly formats: Formats;
  readonly theme: Theme;
  readonly setLanguage: (language: Language) => void;
  readonly setTheme: (theme: Theme) => void;
}

// How one language looks.
export function lookOf(language: Language): Pick<Look, 'language' | 'tag' | 'words' | 'formats'> {
  const tag = tagOf(language);
  return { language, tag, words: WORDS[language], formats: formats(tag) };
}

export const LookContext = createContext<Look>({
  ...lookOf('en'),
  theme: 'system',
  setLanguage: () => {},
  setTheme: () => {},
});

export const useLook = (): Look => useContext(LookContext);
