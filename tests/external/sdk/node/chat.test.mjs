// What the README promises: two people chat from two terminals, one on the
// JavaScript SDK, one on the Python SDK; and its examples do what they say.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import { BINARY, Events, freePort, startServer, TOP, within } from './harness.mjs';

const NODE_CHAT = path.join(TOP, 'tests/external/sdk/node/chat.mjs');
const PYTHON_CHAT = path.join(TOP, 'tests/external/sdk/python/chat.py');
const PYTHON = path.join(TOP, 'target/tools/venv/bin/python');

// A program with its lines as events.
function terminal(t, command, args) {
  const child = spawn(command, args, {
    // Where `import` of a program without a file finds the npm packages.
    cwd: path.join(TOP, 'tests/external/sdk/node'),
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ROOKERY_BIN: BINARY },
    // A group of its own, with whatever it starts.
    detached: true,
  });
  t.after(() => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      // All of it has ended.
      assert.equal(error.code, 'ESRCH');
    }
  });
  const lines = readline.createInterface({ input: child.stdout });
  const events = new Events(
    { on: (_, note) => lines.on('line', (text) => note({ text })) },
    ['line'],
  );
  return {
    reads: (text) => events.first('line', (line) => line.text === text),
    readsWith: (part) => events.first('line', (line) => line.text.includes(part)),
    lines: () => events.of('line').map(({ text }) => text),
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

// The blocks of the README in this language.
function blocks(language) {
  const readme = readFileSync(path.join(TOP, 'README.md'), 'utf8');
  const found = readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'));
  return [...found].map(([, block]) => block);
}

// The code with each of these texts, which stands in it once, replaced.
function adapted(code, changes) {
  return changes.reduce((code, [was, is]) => {
    assert.equal(code.split(was).length, 2, `one ${was} in ${code}`);
    return code.replace(was, is);
  }, code);
}

const README_URL = 'ws://127.0.0.1:8000/connection/websocket';

test('the examples of the README say hello', async (t) => {
  const server = await startServer({ dev: true });
  t.after(() => server.stop());
  const token = execFileSync(BINARY, ['token', '--dev', '--user', 'anna'], { encoding: 'utf8' });
  for (const [language, command, ...args] of [
    ['js', process.execPath, '--input-type=module', '-e'],
    ['python', PYTHON, '-u', '-c'],
  ]) {
    const example = adapted(blocks(language)[0], [['…', token.trim()], [README_URL, server.url]]);
    const anna = terminal(t, command, [...args, example]);
    await anna.reads('anna: hello');
  }
});

test('nothing is missing when the server of the README was killed', async (t) => {
  const [hello, story, ...more] = blocks('js');
  assert.ok(hello && story && more.length === 0);
  const folder = mkdtempSync(path.join(tmpdir(), 'rookery-readme-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const places = [
    `--listen=127.0.0.1:${port}`,
    `--admin-listen=127.0.0.1:${await freePort()}`,
    `--store-dir=${folder}`,
  ];
  const code = adapted(story, [
    ["'target/quick/rookery'", JSON.stringify(BINARY)],
    ["['serve', '--dev']", JSON.stringify(['serve', '--dev', ...places])],
    [README_URL, `ws://127.0.0.1:${port}/connection/websocket`],
  ]);
  const people = terminal(t, process.execPath, ['--input-type=module', '-e', code]);
  await people.reads('ben reads: see you at noon');
  await people.reads('anna reads: I shall be there');
  // What was not acknowledged before the kill may come twice.
  const once = [...new Set(people.lines().filter((line) => line.includes(' reads: ')))];
  assert.deepEqual(once.sort(), [
    'anna reads: I shall be there',
    'anna reads: not for long',
    'ben reads: are you there?',
    'ben reads: see you at noon',
  ]);
});
