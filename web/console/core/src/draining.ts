// How far a drain is: how many have left of those who were there when it was first seen, and how
// much of its time is over.

import type { Sample } from './answers.js';
import { sum } from './rates.js';

export interface DrainProgress {
  // Connections that are still there, and that were there at first.
  readonly left: number;
  readonly first: number;
  // From 0 to 1: how many of them are gone.
  readonly gone: number;
  readonly passedMs: number;
  readonly leftMs: number;
}

export class DrainWatch {
  #first = 0;
  #beganUnixMs: number | null = null;

  // What a sample says; none while nothing drains.
  on(sample: Sample): DrainProgress | null {
    const { drain } = sample;
    if (drain === null) {
      this.#beganUnixMs = null;
      return null;
    }
    const left = Math.max(0, sum(sample.cores.get('connections') ?? []));
    if (this.#beganUnixMs !== drain.beganUnixMs) [this.#beganUnixMs, this.#first] = [drain.beganUnixMs, left];
    // Whoever was let in just before counts, too.
    this.#first = Math.max(this.#first, left);
    const passedMs = Math.max(0, sample.nowUnixMs - drain.beganUnixMs);
    return {
      left,
      first: this.#first,
      gone: this.#first === 0 ? 1 : 1 - left / this.#first,
      passedMs,
      leftMs: Math.max(0, drain.overMs - passedMs),
    };
  }
}
