// Numbers as people read them, in their language. What is not known is a dash.

import type { Unit } from './heat.js';

export interface Formats {
  readonly count: (value: number | null) => string;
  // What is not counted in whole ones, such as CPUs that are busy.
  readonly amount: (value: number | null) => string;
  readonly bytes: (value: number | null) => string;
  readonly perSecond: (value: number | null) => string;
  readonly seconds: (value: number | null) => string;
  readonly share: (value: number | null) => string;
  // How long something has been, or will be: in the two largest units.
  readonly span: (seconds: number | null) => string;
  readonly time: (unixMs: number) => string;
  readonly moment: (unixMs: number) => string;
  readonly of: (unit: Unit, value: number | null) => string;
}

const UNKNOWN = '–';
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function formats(tag: string, timeZone?: string): Formats {
  const zone = timeZone === undefined ? {} : { timeZone };
  const whole = new Intl.NumberFormat(tag, { maximumFractionDigits: 0 });
  const compact = new Intl.NumberFormat(tag, { notation: 'compact', maximumSignificantDigits: 3 });
  const short = new Intl.NumberFormat(tag, { maximumSignificantDigits: 3 });
  const percent = new Intl.NumberFormat(tag, { style: 'percent', maximumFractionDigits: 1 });
  const clock = new Intl.DateTimeFormat(tag, { hour: '2-digit', minute: '2-digit', second: '2-digit', ...zone });
  const date = new Intl.DateTimeFormat(tag, { dateStyle: 'short', timeStyle: 'medium', ...zone });
  const known = (write: (value: number) => string) => (value: number | null) =>
    (value === null || !Number.isFinite(value) ? UNKNOWN : write(value));

  const count = known((value) => (Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value)));
  const amount = known((value) => short.format(Math.round(value * 100) / 100));
  const perSecond = known((value) => {
    const rate = Math.abs(value) < 10_000 ? short.format(value) : compact.format(value);
    return `${rate}/s`;
  });
  const bytes = known((value) => {
    let [left, unit] = [value, 0];
    while (Math.abs(left) >= 1024 && unit < BYTE_UNITS.length - 1) [left, unit] = [left / 1024, unit + 1];
    return `${unit === 0 ? whole.format(left) : short.format(left)} ${BYTE_UNITS[unit]}`;
  });
  const bytesPerSecond = known((value) => `${bytes(value)}/s`);
  const seconds = known((value) => {
    if (value === 0) return '0 ms';
    if (Math.abs(value) < 0.001) return `${short.format(value * 1e6)} µs`;
    if (Math.abs(value) < 1) return `${short.format(value * 1000)} ms`;
    return `${short.format(value)} s`;
  });
  const share = known((value) => percent.format(value));
  const span = known(spanOf);
  return {
    count,
    amount,
    bytes,
    perSecond,
    seconds,
    share,
    span,
    time: (unixMs) => clock.format(unixMs),
    moment: (unixMs) => date.format(unixMs),
    of: (unit, value) => {
      switch (unit) {
        case 'count': return count(value);
        case 'amount': return amount(value);
        case 'per-second': return perSecond(value);
        case 'seconds': return seconds(value);
        case 'share': return share(value);
        case 'bytes': return bytes(value);
        case 'bytes-per-second': return bytesPerSecond(value);
      }
    },
  };
}

// Letters that are the same in all languages of the console.
function spanOf(value: number): string {
  const whole = Math.max(0, Math.round(value));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}
