// The heat map: measures by cores. One cell has the focus, and what it says stands below; keys move
// it. With few cores the numbers stand in the cells.

import { useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

import { heatRows, moved, type HeatCell, type Interval, type Sample } from 'rookery-console-core';

import { useLook } from './context';

// With more cores a cell has its colour only.
const NUMBERS_MAX = 12;

export function HeatMap({ sample, over }: { readonly sample: Sample; readonly over: Interval | null }) {
  const { words, formats } = useLook();
  const id = useId();
  const rows = useMemo(() => heatRows(sample, over), [sample, over]);
  const [at, setAt] = useState<readonly [number, number]>([0, 0]);
  const grid = useRef<HTMLTableElement>(null);
  const isMoved = useRef(false);
  // Before the next key comes: it begins where the focus is.
  useLayoutEffect(() => {
    if (isMoved.current) grid.current?.querySelector<HTMLElement>('td[tabindex="0"]')?.focus();
    isMoved.current = false;
  }, [at]);
  const onKey = (event: KeyboardEvent) => {
    const next = moved(event.key, at, [rows.length, sample.coresCount]);
    if (next === null) return;
    event.preventDefault();
    isMoved.current = true;
    setAt(next);
  };
  const says = (row: number, core: number, cell: HeatCell) => {
    const { measure, unit } = rows[row]!;
    return `${words.core(String(core))}, ${words.measures[measure]}: ${formats.of(unit, cell.value)}, ${words.levels[cell.level]}`;
  };
  const [chosenRow, chosenCore] = [Math.min(at[0], rows.length - 1), Math.min(at[1], sample.coresCount - 1)];
  const chosen = rows[chosenRow]?.cells[chosenCore];
  const isWide = sample.coresCount > NUMBERS_MAX;
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{words.heat}</h2>
      <div class="scroller">
        <table class={isWide ? 'heat heat-wide' : 'heat'} role="grid" aria-labelledby={id} ref={grid} onKeyDown={onKey}>
          <thead>
            <tr>
              <td />
              {sample.phases.map((_, core) => (
                <th key={core} scope="col" aria-label={words.core(String(core))}>{isWide && core % 8 !== 0 ? '' : core}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ measure, unit, cells }, row) => (
              <tr key={measure}>
                <th scope="row">{words.measures[measure]}</th>
                {cells.map((cell, core) => (
                  <td
                    key={core} role="gridcell" class={`heat-${cell.level}`} aria-label={says(row, core, cell)}
                    tabIndex={row === chosenRow && core === chosenCore ? 0 : -1}
                    onFocus={() => setAt([row, core])} onClick={() => setAt([row, core])}
                  >
                    {!isWide && formats.of(unit, cell.value)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {chosen !== undefined && <p class="detail" aria-hidden="true">{says(chosenRow, chosenCore, chosen)}</p>}
      <ul class="scale">
        {words.levels.map((level, at) => <li key={level}><span class={`swatch heat-${at}`} />{level}</li>)}
        <li class="detail">{words.heatHint}</li>
      </ul>
    </section>
  );
}
