// What the console decides, without a page: answers as types, samples as lines and heat, numbers as
// text, when to ask, how far a drain is.

export * from './answers.js';
export * from './draining.js';
export * from './format.js';
export * from './heat.js';
export * from './polling.js';
export * from './rates.js';
export * from './track.js';
