// Language and colours.

import { useLook } from './context';
import type { Theme } from './preferences';
import type { Language } from './words';

export function LookSettings() {
  const { language, theme, words, setLanguage, setTheme } = useLook();
  return (
    <div class="look">
      <label>
        <span class="unseen">{words.language}</span>
        <select value={language} onChange={(event) => setLanguage(event.currentTarget.value as Language)}>
          <option value="en">English</option>
          <option value="zh">中文</option>
        </select>
      </label>
      <label>
        <span class="unseen">{words.theme}</span>
        <select value={theme} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          <option value="system">{words.system}</option>
          <option value="light">{words.light}</option>
          <option value="dark">{words.dark}</option>
        </select>
      </label>
    </div>
  );
}
