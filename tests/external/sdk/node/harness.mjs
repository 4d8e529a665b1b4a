// What the tests of the JavaScript SDK stand on: the real binary on free ports, a
// proxy that can cut or stop a connection, tokens, and waiting for events.
//
// Deliberately absent: sleeping. A test waits for an event, and every wait ends
// with an error when the event does not come.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import { Centrifuge as FormerJsonCentrifuge } from 'centrifuge-of-2025';
import { Centrifuge as FormerProtobufCentrifuge } from 'centrifuge-of-2025/build/protobuf';
import WebSocket from 'ws';

export const TOP = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../..');
export const BINARY = process.env.ROOKERY_BIN ?? path.join(TOP, 'target/debug/rookery');
const WAIT_MS_MAX = 20_000;

export const SECRET = 'a secret that only the tests of the SDKs know';

// Both encodings carry the same values: Protobuf clients give and get bytes.
export const ENCODINGS = [
  {
    name: 'json',
    Centrifuge: JsonCentrifuge,
    pack: (value) => value,
    unpack: (data) => data,
  },
  {
    name: 'protobuf',
    Centrifuge: ProtobufCentrifuge,
    pack: (value) => new TextEncoder().encode(JSON.stringify(value)),
    unpack: (data) => JSON.parse(new TextDecoder().decode(data)),
  },
];

// What pages that were not built anew speak with: the SDK of a year ago.
export const FORMER_ENCODINGS = [
  { ...ENCODINGS[0], name: 'json of 2025', Centrifuge: FormerJsonCentrifuge },
  { ...ENCODINGS[1], name: 'protobuf of 2025', Centrifuge: FormerProtobufCentrifuge },
];

// --- waiting -------------------------------------------------------------------

// A promise that fails with `what` when nothing came in time.
export function within(promise, what, ms = WAIT_MS_MAX) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Everything an emitter said, from now on, and a way to wait for some of it.
export class Events {
  constructor(emitter, names) {
    this.seen = [];
    this.waiting = [];
    for (const name of names) {
      emitter.on(name, (context) => {
        this.seen.push({ name, ...context });
        this.waiting = this.waiting.filter((look) => !look());
      });
    }
  }

  of(name) {
    return this.seen.filter((event) => event.name === name);
  }

  // The first event, past or to come, that has this name and passes the test.
  async first(name, test = () => true) {
    return (await this.atLeast(1, name, test))[0];
  }

  // The first `count` such events.
  atLeast(count, name, test = () => true) {
    const found = () => this.of(name).filter(test);
    if (found().length >= count) return Promise.resolve(found().slice(0, count));
    const wait = new Promise((resolve) => {
      this.waiting.push(() => {
        if (found().length < count) return false;
        resolve(found().slice(0, count));
        return true;
      });
    });
    return within(wait, `${count} events "${name}"`).catch((error) => {
      error.message += `; seen: ${this.seen.map((event) => JSON.stringify(event)).join(' ').slice(-2000)}`;
      throw error;
    });
  }

  // From here on only what comes later counts.
  forget() {
    this.seen = [];
  }
}

export const clientEvents = (client) =>
  new Events(client, [
    'connecting', 'connected', 'disconnected', 'error', 'message',
    'subscribed', 'subscribing', 'unsubscribed', 'publication', 'join', 'leave',
  ]);

export const subscriptionEvents = (subscription) =>
  new Events(subscription, [
    'subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error',
  ]);

// --- tokens --------------------------------------------------------------------

export const nowSeconds = () => Math.floor(Date.now() / 1000);

export function token(claims, secret = SECRET) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

// --- ports ---------------------------------------------------------------------

// What `freePort` has tried: one server has several, which nothing holds until it starts.
const triedPorts = new Set();

// Below the usual range of source ports, so that no client takes one in between; each once.
export async function freePort() {
  const [low, high] = (process.env.ROOKERY_TEST_PORTS ?? '20000-29999').split('-').map(Number);
  for (;;) {
    const port = low + Math.floor(Math.random() * (high - low + 1));
    if (triedPorts.has(port)) continue;
    triedPorts.add(port);
    const server = net.createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

// --- the server ----------------------------------------------------------------

// Starts the binary with the tests' configuration and waits until it is ready.
// `port`, `outboxBytes`, `pingMs`, `ackWaitMs` and `otlpEndpoint` may be chosen; `durable`
// keeps all rooms on disk; `more` stands behind it all; `dev` takes the embedded configuration,
// and `web` with it the folder of a web chat.
export async function startServer(options = {}) {
  const port = options.port ?? (await freePort());
  const adminPort = await freePort();
  const folder = mkdtempSync(path.join(tmpdir(), 'rookery-sdk-'));
  const store = path.join(folder, 'store');
  mkdirSync(store);
  const file = path.join(folder, 'rookery.toml');
  writeFileSync(file, configuration(port, adminPort, store, options));
  const places = [
    `--listen=127.0.0.1:${port}`,
    `--admin-listen=127.0.0.1:${adminPort}`,
    `--store-dir=${store}`,
  ];
  if (options.console) places.push(`--admin-console-dir=${options.console}`);
  const web = options.web ? ['--web', options.web] : [];
  const source = options.dev ? ['--dev', ...places, ...web] : ['--config', file];
  const server = {
    port,
    adminPort,
    url: `ws://127.0.0.1:${port}/connection/websocket`,
    log: [],
    signal: (name) => server.child.kill(name),
    metrics: async () => (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text(),
    // Its end, at once and without a word.
    kill: async () => {
      server.child.kill('SIGKILL');
      await server.exited;
    },
    // Another life, with the same port and the same store.
    startAgain: async () => {
      server.child = spawn(BINARY, ['serve', ...source], { stdio: ['ignore', 'pipe', 'pipe'] });
      for (const stream of [server.child.stdout, server.child.stderr]) {
        readline.createInterface({ input: stream }).on('line', (line) => server.log.push(line));
      }
      server.exited = new Promise((resolve) => {
        server.child.once('exit', (code, signal) => resolve({ code, signal }));
      });
      try {
        await ready(adminPort, server.exited);
      } catch (error) {
        await server.stop();
        throw new Error(`${error.message}\n${server.log.join('\n')}`);
      }
    },
    stop: async () => {
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await server.startAgain();
  return server;
}

// Readiness is asked for, because there is nothing to be told by.
export async function ready(adminPort, exited) {
  let over = null;
  exited.then((end) => (over = end));
  const deadline = Date.now() + WAIT_MS_MAX;
  while (Date.now() < deadline) {
    if (over) throw new Error(`the server ended at once: ${JSON.stringify(over)}`);
    try {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/ready`);
      if (answer.ok) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the server was not ready in time');
}

function configuration(port, adminPort, store, options) {
  const { outboxBytes = 1 << 20, pingMs = 24_000, ackWaitMs = 30_000, otlpEndpoint = '' } = options;
  const memory = 'durability = "memory"';
  return readFileSync(path.join(TOP, 'tests/external/sdk/rookery.toml'), 'utf8')
    .replaceAll('{port}', port)
    .replaceAll('{admin_port}', adminPort)
    .replaceAll('{store_dir}', store)
    .replaceAll('{outbox_bytes}', outboxBytes)
    .replaceAll('{ping_ms}', pingMs)
    .replaceAll('{pong_ms}', pingMs / 3)
    .replaceAll('{ack_wait_ms}', ackWaitMs)
    .replaceAll('{otlp_endpoint}', otlpEndpoint)
    .replaceAll(memory, options.durable ? 'durability = "fsync"' : memory)
    .concat(options.more ?? '');
}

// --- the network ---------------------------------------------------------------

// A proxy between client and server that breaks and stops connections at will.
export async function startProxy(targetPort) {
  const pairs = new Set();
  let paused = false;
  const server = net.createServer((near) => {
    const far = net.connect(targetPort, '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    near.pipe(far);
    if (!paused) far.pipe(near);
    for (const socket of [near, far]) {
      // A broken connection is what this is for.
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${server.address().port}/connection/websocket`,
    // Every connection breaks without a close frame.
    cut: () => pairs.forEach(({ near, far }) => (near.resetAndDestroy(), far.resetAndDestroy())),
    // What the server sends is no longer read.
    stopReading: () => {
      paused = true;
      pairs.forEach(({ near, far }) => (far.unpipe(near), far.pause()));
    },
    readAgain: () => {
      paused = false;
      pairs.forEach(({ near, far }) => far.pipe(near));
    },
    stop: async () => {
      pairs.forEach(({ near, far }) => (near.destroy(), far.destroy()));
      server.close();
      await once(server, 'close');
    },
  };
}

// --- clients -------------------------------------------------------------------

// What the SDK calls a connection that broke before it was up.
export const TRANSPORT_CLOSED = 2;
// What it meets while a server is killed and started again: that, and a connection
// that broke while it introduced itself.
export const SERVER_GONE = [TRANSPORT_CLOSED, 11];

// A client that is disconnected when its test is over. An error that the SDK makes
// good by trying again would hide what the server did wrong, so the test fails for
// each, of the client and of its subscriptions, whose code `mayMeet` does not list.
export function client(t, encoding, url, { mayMeet = [], ...options } = {}) {
  const made = new encoding.Centrifuge(url, {
    websocket: WebSocket,
    minReconnectDelay: 20,
    maxReconnectDelay: 200,
    ...options,
  });
  const surprises = [];
  const watch = (emitter) => {
    emitter.on('error', ({ type, error, channel }) => {
      if (!mayMeet.includes(error.code)) surprises.push({ type, channel, ...error });
    });
    return emitter;
  };
  watch(made);
  const subscribe = made.newSubscription.bind(made);
  made.newSubscription = (...args) => watch(subscribe(...args));
  t.after(() => {
    made.disconnect();
    assert.deepEqual(surprises, [], 'errors that were made good by trying again');
  });
  return made;
}

// The SDK's transport, which tells `emitter` of each ping of the server and each pong
// of the SDK. Both are empty messages.
export function watchedSocket(emitter) {
  const isEmpty = (data) => ['{}', '\0'].includes(Buffer.from(data).toString());
  return class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('message', (data) => isEmpty(data) && emitter.emit('ping'));
    }

    send(data, ...rest) {
      if (isEmpty(data)) emitter.emit('pong');
      super.send(data, ...rest);
    }
  };
}

export async function connected(t, encoding, url, user, options = {}) {
  const { listen, ...rest } = options;
  const made = client(t, encoding, url, { token: token({ sub: user }), ...rest });
  // Some things are told together with the welcome.
  made.heard = listen?.(made);
  made.connect();
  await within(made.ready(), `${user} to be connected`);
  return made;
}

export async function subscribed(client, channel, options = {}) {
  const subscription = client.newSubscription(channel, {
    minResubscribeDelay: 20,
    maxResubscribeDelay: 200,
    ...options,
  });
  subscription.subscribe();
  await within(subscription.ready(), `the subscription of ${channel}`);
  return subscription;
}

// A user who listens to everything from before the connection is up.
export const arrivalIn = (encoding) => async (t, url, user, options = {}) => {
  const made = await connected(t, encoding, url, user, { ...options, listen: clientEvents });
  return { client: made, events: made.heard };
};

// The answer to one of chat's methods.
export const chatIn = ({ pack, unpack }) => async (client, method, fields) => {
  const { data } = await within(client.rpc(`chat.${method}`, pack(fields)), `chat.${method}`);
  return unpack(data);
};

// Channels and users of their own keep tests apart that share a server.
let freshCount = 0;
export const freshChannel = (namespace = 'room') => `${namespace}:${process.pid}-${++freshCount}`;
export const freshUser = (name) => `${name}-${++freshCount}`;

// The error that a promise must end with.
export async function refusal(promise) {
  try {
    await within(promise, 'a refusal');
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'this had to be refused' });
}
