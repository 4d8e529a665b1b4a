// A chart: lines over time on a canvas, and beside it as text what they show now, or where the
// pointer is.

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import type { ChartData, Formats, Unit } from 'rookery-console-core';

import { useLook } from './context';

const HEIGHT = 150;
// Between two marks of an axis with bytes, whose units are powers of two.
const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
// Colours of lines are those of the page, by name.
const COLOURS = ['--line-a', '--line-b', '--line-c'] as const;

export interface ChartProps {
  readonly title: string;
  readonly lines: readonly string[];
  readonly data: ChartData;
  readonly unit: Unit;
  // Another value means that there is a point more.
  readonly turn: number;
}

export function Chart({ title, lines, data, unit, turn }: ChartProps) {
  const { formats, language, theme } = useLook();
  const format = (value: number | null) => formats.of(unit, value);
  const id = useId();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const isDark = useDark();
  useEffect(() => {
    const parent = place.current;
    if (parent === null) return undefined;
    const made = new uPlot(optionsOf(lines, parent, unit, formats, setPointed), aligned(data), parent);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: parent.clientWidth, height: HEIGHT }));
    observer.observe(parent);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // What else changes only with the language.
  }, [language, theme, isDark, lines.length]);
  useEffect(() => plot.current?.setData(aligned(data)), [turn, data]);
  const at = pointed ?? data[0].length - 1;
  const values = lines.map((line, index) => [line, format(data[index + 1]?.[at] ?? null)] as const);
  return (
    <figure class="card chart" aria-labelledby={id}>
      <figcaption>
        <h2 id={id}>{title}</h2>
        <ul class="legend">
          {values.map(([line, value], index) => (
            <li key={line} class={`legend-${index}`}>
              {lines.length > 1 && `${line} `}<strong>{value}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} class="plot" aria-hidden="true" />
    </figure>
  );
}

function optionsOf(
  lines: readonly string[], parent: HTMLElement, unit: Unit, formats: Formats,
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  return {
    width: parent.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, min, max) => [Math.min(0, min ?? 0), Math.max(max ?? 0, 0) * 1.1 || 1] } },
    axes: [
      { ...axis, size: 28, space: 90, values: (_, splits) => splits.map((seconds) => formats.time(seconds * 1000)) },
      {
        ...axis, size: 72, space: 32, values: (_, splits) => splits.map((value) => formats.of(unit, value)),
        ...(unit === 'bytes' || unit === 'bytes-per-second' ? { incrs: POWERS } : {}),
      },
    ],
    series: [
      {},
      ...lines.map((label, at) => ({
        label, stroke: colour(COLOURS[at % COLOURS.length]!), width: 1.5, points: { show: false },
      })),
    ],
    hooks: { setCursor: [(self) => onPoint(self.cursor.idx ?? null)] },
  };
}

// uPlot reads it and changes nothing.
const aligned = (data: ChartData) => data as unknown as uPlot.AlignedData;

// Whether the system is dark now, which a canvas does not notice by itself.
function useDark(): boolean {
  const [query] = useState(() => matchMedia('(prefers-color-scheme: dark)'));
  const [isDark, setIsDark] = useState(query.matches);
  useEffect(() => {
    const change = () => setIsDark(query.matches);
    query.addEventListener('change', change);
    return () => query.removeEventListener('change', change);
  }, [query]);
  return isDark;
}
