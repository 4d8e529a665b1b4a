// Which rows of a list are drawn, and where it stands: at its end, or with the row in sight where
// it is, whatever comes above it.
//
// Rows are as high as they are, which is known only once they were drawn. So after each drawing
// they are measured, and the list is drawn once more where that changes which rows belong to it.

import { rowsInView, topOf, type Message, type RowRange } from 'rookery-chat-core';
import type { RefObject } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

// What a row is taken to be high before it was drawn.
const GUESS_PX = 60;
// What is drawn beyond what is in sight, on each side.
const MARGIN_PX = 700;
// So near to the end counts as there.
const END_PX = 48;
// So near to the beginning more is loaded.
const EARLIER_PX = 900;

// Where somebody reads: a row, and how far below the upper edge it begins.
interface Anchor {
  readonly offset: number;
  readonly top: number;
}

interface Place {
  readonly isAtEnd: boolean;
  readonly anchor: Anchor | null;
  readonly height: number;
}

export interface Scrolling {
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly range: RowRange;
  readonly isAtEnd: boolean;
  readonly onScroll: () => void;
  readonly toEnd: () => void;
  readonly toOffset: (offset: number) => void;
}

// `onEarlier` is asked for more when the beginning is near.
export function useScrolling(messages: readonly Message[], onEarlier: () => void): Scrolling {
  const [, setFrame] = useState(0);
  const draw = useCallback(() => setFrame((frame) => frame + 1), []);
  const scroller = useRef<HTMLDivElement>(null);
  const heights = useRef(new Map<number, number>());
  const place = useRef<Place>({ isAtEnd: true, anchor: null, height: 800 });
  const rows = {
    count: messages.length,
    heightOf: (index: number) => heights.current.get(messages[index]!.offset),
    guess: GUESS_PX,
  };
  const scrollTop = scrollTopOf(messages, place.current, rows.heightOf);
  const range = rowsInView({ ...rows, scrollTop, height: place.current.height, margin: MARGIN_PX });

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const isNew = measure(element, heights.current);
    const before = place.current;
    if (before.isAtEnd) element.scrollTop = element.scrollHeight;
    else if (before.anchor !== null) keepInPlace(element, before.anchor);
    // From here on the row counts that is in sight now, since what was drawn may be elsewhere.
    place.current = placeOf(element, before.isAtEnd);
    if (isNew || before.height !== element.clientHeight) draw();
  });
  useEffect(() => {
    const observer = new ResizeObserver(draw);
    if (scroller.current !== null) observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [draw]);
  const askForMore = () => {
    if (scroller.current !== null && scroller.current.scrollTop < EARLIER_PX) onEarlier();
  };
  useEffect(askForMore);

  const onScroll = () => {
    const element = scroller.current;
    if (element === null) return;
    const wasAtEnd = place.current.isAtEnd;
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    place.current = placeOf(element, isAtEnd);
    askForMore();
    const wanted = rowsInView({
      ...rows, scrollTop: element.scrollTop, height: element.clientHeight, margin: MARGIN_PX / 2,
    });
    if (wanted.from < range.from || wanted.to > range.to || wasAtEnd !== isAtEnd) draw();
  };
  const toEnd = useCallback(() => {
    place.current = { ...place.current, isAtEnd: true };
    draw();
  }, [draw]);
  const toOffset = useCallback((offset: number) => {
    const { height } = place.current;
    place.current = { isAtEnd: false, anchor: { offset, top: height / 3 }, height };
    draw();
  }, [draw]);
  return { scroller, range, isAtEnd: place.current.isAtEnd, onScroll, toEnd, toOffset };
}

// Where the list stands, as far as the heights of its rows are known.
function scrollTopOf(
  messages: readonly Message[],
  { isAtEnd, anchor, height }: Place,
  heightOf: (index: number) => number | undefined,
): number {
  if (isAtEnd || anchor === null) return topOf(messages.length, heightOf, GUESS_PX) - height;
  return topOf(indexOf(messages, anchor.offset), heightOf, GUESS_PX) - anchor.top;
}

function placeOf(scroller: HTMLElement, isAtEnd: boolean): Place {
  return { isAtEnd, anchor: anchorOf(scroller), height: scroller.clientHeight };
}

function indexOf(messages: readonly Message[], offset: number): number {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function rowsOf(scroller: HTMLElement): HTMLElement[] {
  return [...scroller.querySelectorAll<HTMLElement>(':scope > [data-offset]')];
}

// Writes down how high the rows are that are drawn; whether one is another than was known.
function measure(scroller: HTMLElement, heights: Map<number, number>): boolean {
  let isNew = false;
  for (const row of rowsOf(scroller)) {
    const offset = Number(row.dataset['offset']);
    const height = row.getBoundingClientRect().height;
    if (Math.abs((heights.get(offset) ?? 0) - height) < 0.5) continue;
    heights.set(offset, height);
    isNew = true;
  }
  return isNew;
}

// The first row in sight.
function anchorOf(scroller: HTMLElement): Anchor | null {
  const edge = scroller.getBoundingClientRect().top;
  for (const row of rowsOf(scroller)) {
    const { top, bottom } = row.getBoundingClientRect();
    if (bottom > edge) return { offset: Number(row.dataset['offset']), top: top - edge };
  }
  return null;
}

// Scrolls so that the row is where it was.
function keepInPlace(scroller: HTMLElement, { offset, top }: Anchor): void {
  const row = scroller.querySelector<HTMLElement>(`:scope > [data-offset="${offset}"]`);
  if (row === null) return;
  const moved = row.getBoundingClientRect().top - scroller.getBoundingClientRect().top - top;
  if (Math.abs(moved) > 0.5) scroller.scrollTop += moved;
}
