// A chat in a terminal, on the npm packages "centrifuge" and "ws":
//
//   TOKEN=… node chat.mjs [room] [server]
//
// What is typed is said in the room. "/to ben see you at noon" is a direct message, and "/who"
// tells who is there. The end of the input (Ctrl-D) leaves.
//
// Deliberately absent: fresh tokens. What runs longer than its token gives `getToken` instead of
// `token`, a function that asks the application's own backend.

import readline from 'node:readline';

import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const [name = 'lobby', server = 'ws://127.0.0.1:8000/connection/websocket'] = process.argv.slice(2);
const client = new Centrifuge(server, { websocket: WebSocket, token: process.env.TOKEN });
const room = client.newSubscription(`room:${name}`, { recoverable: true, joinLeave: true });

const show = (where, { data, info }) => console.log(`[${where}] ${info?.user ?? 'server'}: ${data.text}`);
const fail = (error) => console.log(`* ${error.message}`);

// Direct messages come to every connection of both people, without a subscription. One that its
// reader does not acknowledge comes again, also after days.
client.on('publication', (message) => {
  const { channel, offset } = message.tags;
  show(channel, message);
  client.rpc('chat.ack', { channel, offset: Number(offset) }).catch(fail);
});
client.on('error', ({ error }) => fail(error));
client.on('disconnected', ({ reason }) => {
  console.log(`* ${reason}`);
  process.exit();
});

room.on('publication', (message) => show(room.channel, message));
room.on('join', ({ info }) => console.log(`* ${info.user} came`));
room.on('leave', ({ info }) => console.log(`* ${info.user} left`));
room.once('subscribed', ({ streamPosition }) => catchUp(streamPosition.offset).catch(fail));

// What was said up to here; what is said behind it comes by itself.
async function catchUp(position) {
  const { publications } = await room.history({ limit: 20, reverse: true });
  const before = publications.filter(({ offset }) => offset <= position);
  before.reverse().forEach((message) => show(room.channel, message));
  await tellWho();
}

async function tellWho() {
  const { clients } = await room.presence();
  const users = new Set(Object.values(clients).map(({ user }) => user));
  console.log(`* here: ${[...users].sort().join(', ')}`);
}

async function obey(line) {
  const [, to, text] = line.match(/^\/to (\S+) (.+)/) ?? [];
  if (to) await client.rpc('chat.send', { to, data: { text } });
  else if (line === '/who') await tellWho();
  else if (line) await room.publish({ text: line });
}

room.subscribe();
client.connect();
for await (const line of readline.createInterface({ input: process.stdin })) {
  await obey(line.trim()).catch(fail);
}
client.disconnect();
