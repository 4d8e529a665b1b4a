// Samples for tests: a server of some cores, with what a test says of it.

import { readSample, type Sample } from '../src/index.js';

export interface SampleParts {
  readonly atMs?: number;
  readonly beganMs?: number;
  readonly cores?: Record<string, readonly number[]>;
  readonly process?: Record<string, number>;
  readonly hooks?: Record<string, number>;
  readonly presenceFeed?: Record<string, number> | null;
  readonly store?: Record<string, number> | null;
  readonly endToEnd?: readonly (readonly number[])[];
  readonly drain?: { began_unix_ms: number; over_ms: number } | null;
}

export const BOUNDS_US = [1000, 10_000, 100_000];

export function answer(parts: SampleParts = {}): Record<string, unknown> {
  const count = Object.values(parts.cores ?? {})[0]?.length ?? parts.endToEnd?.length ?? 2;
  const none = Array.from({ length: count }, () => BOUNDS_US.map(() => 0).concat(0));
  return {
    instance: 'node-1',
    version: '0.1.0',
    now_unix_ms: parts.atMs ?? 0,
    began_unix_ms: parts.beganMs ?? 0,
    readiness: 'ready',
    store_state: 'absent',
    drain: parts.drain ?? null,
    cores: { ...parts.cores, phase: Array.from({ length: count }, () => 'sleeping') },
    latency: { end_to_end: { bounds_us: BOUNDS_US, counts: parts.endToEnd ?? none } },
    process: parts.process ?? {},
    hooks: parts.hooks ?? {},
    presence_feed: parts.presenceFeed ?? null,
    store: parts.store ?? null,
  };
}

export const sample = (parts: SampleParts = {}): Sample => readSample(answer(parts));
