// What the README promises: two people chat from two terminals, one on the
// JavaScript SDK, one on the Python SDK.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import { BINARY, Events, startServer, TOP, within } from './harness.mjs';

// A program with its lines as events.
function terminal(t, command, args) {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ROOKERY_BIN: BINARY },
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = readline.createInterface({ input: child.stdout });
  const events = new Events(
    { on: (_, note) => lines.on('line', (text) => note({ text })) },
    ['line'],
  );
  return {
    reads: (text) => events.first('line', (line) => line.text === text),
    types: (text) => child.stdin.write(`${text}\n`),
    leaves: async () => {
      child.stdin.end();
      return within(new Promise((resolve) => child.once('exit', resolve)), 'its end');
    },
  };
}

test('two people chat from two terminals', async (t) => {
  const server = await startServer({ dev: true });
  t.after(() => server.stop());
  const node = path.join(TOP, 'tests/sdk/node/chat.mjs');
  const python = path.join(TOP, 'tests/sdk/python/chat.py');
  const interpreter = path.join(TOP, 'target/tools/venv/bin/python');

  const anna = terminal(t, process.execPath, [node, 'anna', 'lobby', server.url]);
  await anna.reads('* in room:lobby as anna');
  anna.types('is anybody here?');
  await anna.reads('anna: is anybody here?');

  const ben = terminal(t, interpreter, [python, 'ben', 'lobby', server.url]);
  // He came later, and sees what was said before.
  await ben.reads('anna: is anybody here?');
  await anna.reads('* ben came');
  ben.types('I am');
  await anna.reads('ben: I am');
  anna.types('good — \u{1F426}');
  await ben.reads('anna: good — \u{1F426}');

  assert.equal(await ben.leaves(), 0);
  await anna.reads('* ben left');
  assert.equal(await anna.leaves(), 0);
});
