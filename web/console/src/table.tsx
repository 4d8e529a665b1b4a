// A table that scrolls by itself where it is wider than the page, also by keys. Every cell is text.

import type { ComponentChild } from 'preact';
import { useId } from 'preact/hooks';

import { useLook } from './context';

export interface TableRow {
  readonly key: string;
  readonly cells: readonly ComponentChild[];
}

export interface TableProps {
  readonly title: string;
  readonly note?: string;
  readonly columns: readonly string[];
  // Columns with numbers, which stand at the end of their cells.
  readonly numeric?: readonly number[];
  readonly rows: readonly TableRow[];
  readonly children?: ComponentChild;
}

export function Table({ title, note, columns, numeric = [], rows, children }: TableProps) {
  const { words } = useLook();
  const id = useId();
  const kind = (at: number) => (numeric.includes(at) ? 'numeric' : undefined);
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {note !== undefined && <p class="detail">{note}</p>}
      {children}
      {rows.length === 0 ? <p class="detail">{words.nothing}</p> : (
        <div class="scroller" role="region" aria-labelledby={id} tabIndex={0}>
          <table>
            <thead>
              <tr>{columns.map((column, at) => <th key={column} scope="col" class={kind(at)}>{column}</th>)}</tr>
            </thead>
            <tbody>
              {rows.map(({ key, cells }) => (
                <tr key={key}>
                  {cells.map((cell, at) => <td key={at} class={kind(at)} dir="auto">{cell}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
