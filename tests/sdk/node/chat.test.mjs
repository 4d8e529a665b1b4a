// What the README promises: two people chat from two terminals, one on the
// JavaScript SDK, one on the Python SDK; and its examples do what they say.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import { BINARY, Events, freePort, startServer, TOP, within } from './harness.mjs';

const NODE_CHAT = path.join(TOP, 'tests/sdk/node/chat.mjs');
const PYTHON_CHAT = path.join(TOP, 'tests/sdk/python/chat.py');
const PYTHON = path.join(TOP, 'target/tools/venv/bin/python');

// A program with its lines as events.
function terminal(t, command, args) {
  const child = spawn(command, args, {
    // Where `import` of a program without a file finds the npm packages.
    cwd: path.join(TOP, 'tests/sdk/node'),
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
    readsWith: (part) => events.first('line', (line) => line.text.includes(part)),
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
  const anna = terminal(t, process.execPath, [NODE_CHAT, 'anna', 'lobby', server.url]);
  await anna.reads('* in room:lobby as anna');
  anna.types('is anybody here?');
  await anna.reads('anna: is anybody here?');

  const ben = terminal(t, PYTHON, [PYTHON_CHAT, 'ben', 'lobby', server.url]);
  // He came later, and sees what was said before.
  await ben.reads('* in room:lobby as ben');
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

for (const [language, command, script] of [
  ['node', process.execPath, NODE_CHAT],
  ['python', PYTHON, PYTHON_CHAT],
]) {
  test(`who comes before the server is told, and gets in: ${language}`, async (t) => {
    const port = await freePort();
    const url = `ws://127.0.0.1:${port}/connection/websocket`;
    const anna = terminal(t, command, [script, 'anna', 'lobby', url]);
    await anna.readsWith(`trying again, is there a server at ${url}?`);
    const server = await startServer({ dev: true, port });
    t.after(() => server.stop());
    await anna.reads('* in room:lobby as anna');
    assert.equal(await anna.leaves(), 0);
  });
}

// The one block of the README in this language, for this server and with a token.
function example(language, server) {
  const readme = readFileSync(path.join(TOP, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))];
  assert.equal(blocks.length, 1);
  const token = execFileSync(BINARY, ['token', '--dev', '--user', 'anna'], { encoding: 'utf8' });
  return [['…', token.trim()], ['ws://127.0.0.1:8000/connection/websocket', server.url]].reduce(
    (code, [was, is]) => {
      assert.equal(code.split(was).length, 2, `one ${was} in ${code}`);
      return code.replace(was, is);
    },
    blocks[0][1],
  );
}

test('the examples of the README say hello', async (t) => {
  const server = await startServer({ dev: true });
  t.after(() => server.stop());
  for (const [language, command, ...args] of [
    ['js', process.execPath, '--input-type=module', '-e'],
    ['python', PYTHON, '-u', '-c'],
  ]) {
    const anna = terminal(t, command, [...args, example(language, server)]);
    await anna.reads('anna: hello');
  }
});
