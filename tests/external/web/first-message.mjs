// How long it takes from `make run` on a warm build to a message on the screen of a second browser:
// seconds until the server is ready, until both are in, and until the message is seen.
//
//   node tests/external/web/first-message.mjs [times]
//
// `make run` has to have been there before, so that all is built, and to have ended: its ports,
// 8000 and 8001, must be free.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { arrive, launch, say, seen } from './browser.mjs';
import { TOP, ready } from '../sdk/node/harness.mjs';

const TIMES = Number(process.argv[2] ?? 3);

for (let time = 0; time < TIMES; time += 1) console.log(JSON.stringify(await newcomer()));

async function newcomer() {
  const cleanups = [];
  const t = { after: (act) => cleanups.unshift(act) };
  const began = performance.now();
  const seconds = () => Number(((performance.now() - began) / 1000).toFixed(2));
  // A group of its own, so that an interrupt reaches what the Makefile runs, as Ctrl-C does.
  const run = spawn('make', ['--no-print-directory', 'run'], { cwd: TOP, detached: true, stdio: 'ignore' });
  const ended = once(run, 'exit');
  try {
    await ready(8001, ended);
    const readyS = seconds();
    const browser = await launch();
    t.after(() => browser.close());
    const server = { adminPort: 8001 };
    const [anna, ben] = await Promise.all(['anna', 'ben'].map((name) => arrive(t, browser, server, name, { room: 'lobby' })));
    const inS = seconds();
    const words = `hello ${Math.random()}`;
    await say(anna, words);
    await seen(ben, words);
    return { ready_s: readyS, both_in_s: inS, seen_s: seconds() };
  } finally {
    for (const act of cleanups) await act();
    process.kill(-run.pid, 'SIGINT');
    await ended;
  }
}

