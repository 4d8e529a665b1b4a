// From page to page.

import { useLook } from './context';

export interface PagerProps {
  readonly page: number;
  readonly pages: number;
  readonly onPage: (page: number) => void;
}

export function Pager({ page, pages, onPage }: PagerProps) {
  const { words } = useLook();
  if (pages <= 1) return null;
  return (
    <div class="pager">
      <button class="quiet" disabled={page === 0} onClick={() => onPage(page - 1)}>{words.earlier}</button>
      <span role="status">{words.page(page + 1, pages)}</span>
      <button class="quiet" disabled={page + 1 >= pages} onClick={() => onPage(page + 1)}>{words.later}</button>
    </div>
  );
}
