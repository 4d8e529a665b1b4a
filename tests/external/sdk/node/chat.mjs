// A terminal chat on the JavaScript SDK: node chat.mjs <name> [room] [url]
//
// The token comes from `rookery token --dev`, whose secret everyone knows; a real
// application asks its own backend for one.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const [name, room = 'lobby', url = 'ws://127.0.0.1:8000/connection/websocket'] =
  process.argv.slice(2);
if (!name) {
  console.error('usage: chat-node <name> [room] [url]');
  process.exit(2);
}

const target = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../../target');
const binary = ['debug', 'release']
  .map((profile) => path.join(target, profile, 'rookery'))
  .concat(process.env.ROOKERY_BIN ?? [])
  .findLast(existsSync);
if (!binary) {
  console.error('chat-node: there is no server yet: `make run` in another terminal builds and starts it');
  process.exit(1);
}

const client = new Centrifuge(url, {
  websocket: WebSocket,
  getToken: async () =>
    execFileSync(binary, ['token', '--dev', '--user', name], { encoding: 'utf8' }).trim(),
});
const show = ({ data, info }) => console.log(`${info?.user ?? 'server'}: ${data.text}`);
// What the person at the keyboard wanted needs no reason.
const because = ({ code, reason }) => (code === 0 ? '' : ` (${code} ${reason})`);

client.on('connecting', (why) => console.log(`* connecting${because(why)}`));
// The SDK tries on by itself, with longer and longer pauses: once is enough to say so.
let isTold = false;
client.on('connected', () => (isTold = false));
client.on('error', ({ error }) => {
  if (!isTold) console.log(`* ${error.message}; trying again, is there a server at ${url}?`);
  isTold = true;
});
client.on('disconnected', (why) => {
  console.log(`* disconnected${because(why)}`);
  process.exit(why.code === 0 ? 0 : 1);
});

const subscription = client.newSubscription(`room:${room}`, {
  recoverable: true,
  joinLeave: true,
});
subscription.on('publication', show);
subscription.on('join', ({ info }) => console.log(`* ${info.user} came`));
subscription.on('leave', ({ info }) => console.log(`* ${info.user} left`));
subscription.on('unsubscribed', ({ code, reason }) => {
  console.log(`* not in the room: ${code} ${reason}`);
  process.exit(1);
});
let greeted = false;
subscription.on('subscribed', async ({ wasRecovering }) => {
  console.log(`* in room:${room} as ${name}`);
  if (wasRecovering || greeted) return;
  greeted = true;
  try {
    const { publications } = await subscription.history({ limit: 20, reverse: true });
    publications.reverse().forEach(show);
  } catch (error) {
    console.log(`* what was said before is unknown: ${error.message}`);
  }
});
subscription.subscribe();
client.connect();

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (text) => {
  if (text.trim()) {
    subscription.publish({ text }).catch((error) => console.log(`* not sent: ${error.message}`));
  }
});
// The answers to what was said last are waited for.
lines.on('close', async () => {
  await subscription.presenceStats().catch(() => {});
  client.disconnect();
});
