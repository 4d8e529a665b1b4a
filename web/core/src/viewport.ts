// Which rows of a long list are drawn: those in sight and some beside them. Rows have heights
// of their own, which are known only once they were drawn; the others count as a guess.

export interface RowRange {
  // The first row that is drawn, and the one behind the last.
  readonly from: number;
  readonly to: number;
  // The height of what is not drawn above and below.
  readonly above: number;
  readonly below: number;
}

export interface ViewportOptions {
  readonly count: number;
  // The height of a row, if it was drawn.
  readonly heightOf: (index: number) => number | undefined;
  readonly guess: number;
  readonly scrollTop: number;
  readonly height: number;
  // How much more than what is in sight is drawn, on each side, in pixels.
  readonly margin: number;
}

export function rowsInView(options: ViewportOptions): RowRange {
  const { count, heightOf, guess, scrollTop, height, margin } = options;
  const begin = scrollTop - margin;
  const end = scrollTop + height + margin;
  let [from, to, above, below, top] = [count, count, 0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    const bottom = top + (heightOf(index) ?? guess);
    if (bottom <= begin) above = bottom;
    else if (top < end) from = Math.min(from, index);
    else {
      to = Math.min(to, index);
      below += bottom - top;
    }
    top = bottom;
  }
  if (from === count && count > 0) {
    // Scrolled beyond the end, as after a list became shorter: the last row is drawn.
    const last = heightOf(count - 1) ?? guess;
    return { from: count - 1, to: count, above: top - last, below: 0 };
  }
  return { from, to: Math.max(to, from), above, below };
}

// Where a row begins.
export function topOf(index: number, heightOf: (index: number) => number | undefined, guess: number): number {
  let top = 0;
  for (let at = 0; at < index; at += 1) top += heightOf(at) ?? guess;
  return top;
}
