// Answers become types, or an error that says where.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  AnswerError, readAlerts, readAudit, readConnections, readFlights, readQuarantine, readRooms,
  readBlocks, readDeadLetters, readSample, readSession, readTenants,
} from '../src/index.js';
import { answer } from './samples.js';

const refuses = (read: (value: unknown) => unknown, value: unknown, place: string) =>
  assert.throws(() => read(value), (error) => error instanceof AnswerError && error.message.endsWith(` ${place}`));

describe('an answer', () => {
  test('of a sample has a number for each core in each column', () => {
    const sample = readSample(answer({ cores: { connections: [3, 4] }, process: { cpu_ns: 7 } }));
    assert.equal(sample.coresCount, 2);
    assert.deepEqual(sample.cores.get('connections'), [3, 4]);
    assert.equal(sample.cores.has('phase'), false);
    assert.equal(sample.process.get('cpu_ns'), 7);
    assert.deepEqual([sample.store, sample.drain], [null, null]);
    const wrong = answer({ cores: { connections: [3, 4] } });
    for (const [value, place] of [
      [null, 'sample'],
      [[], 'sample'],
      [{ ...wrong, cores: { phase: ['a'], connections: [3, 4] } }, 'connections'],
      [{ ...wrong, cores: { phase: ['a'], connections: ['3'] } }, 'connections'],
      [{ ...wrong, cores: { phase: ['a'], connections: [Number.NaN] } }, 'connections'],
      [{ ...wrong, cores: { connections: [3] } }, 'phase'],
      [{ ...wrong, now_unix_ms: '7' }, 'now_unix_ms'],
      [{ ...wrong, latency: { end_to_end: { bounds_us: [1], counts: [[0, 0]] } } }, 'end_to_end'],
      [{ ...wrong, latency: { end_to_end: { bounds_us: [1], counts: [[0], [0]] } } }, 'end_to_end'],
      [{ ...wrong, drain: 7 }, 'drain'],
      [{ ...wrong, process: { cpu_ns: null } }, 'cpu_ns'],
    ] as const) refuses(readSample, value, place);
  });

  test('of a session has a role that is known', () => {
    const session = { operator: 'ann', role: 'see', csrf: 'ab', left_ms: 5, instance: 'node-1' };
    assert.deepEqual(readSession(session),
      { operator: 'ann', role: 'see', csrf: 'ab', leftMs: 5, instance: 'node-1' });
    refuses(readSession, { ...session, role: 'root' }, 'role');
    refuses(readSession, { ...session, csrf: undefined }, 'csrf');
  });

  test('of rooms and connections leaves out what is not known', () => {
    const room = { core: 1, tenant: '', channel: '<b>', members: 7 };
    const rooms = { made_unix_ms: 1, rooms: [room], pages: 1, rooms_count: 9, silent_cores: [3] };
    assert.deepEqual(readRooms(rooms).rooms, [room]);
    refuses(readRooms, { ...rooms, rooms: [{ ...room, members: '7' }] }, 'members');
    const conn = {
      core: 0, user: '', tenant: '', age_seconds: 1.5, encoding: 'json', user_agent: 'chrome', channels: 2,
      outbox_bytes: 0, tasks: 2, client: null, peer: null,
    };
    const [read] = readConnections({ connections: 1, silent_cores: [], conns: [conn] }).rows;
    assert.deepEqual([read!.client, read!.peer, read!.ageSeconds], ['', '', 1.5]);
  });

  test('of flights has the store as a core of its own', () => {
    const event = { time_unix_ms: 1, core: 3, kind: 'stall', layer: 'core', reason: 'turn' };
    const [first, second] = readFlights({ events: [event, { ...event, core: 'store', value_seconds: 0.5 }] });
    assert.deepEqual([first!.core, first!.valueSeconds, first!.room], ['3', null, '']);
    assert.deepEqual([second!.core, second!.valueSeconds], ['store', 0.5]);
    refuses(readFlights, { events: [{ ...event, core: null }] }, 'core');
  });

  test('of quarantine says for how long', () => {
    const prefix = { prefix: '~bot~python', by: 'server', held_seconds: 1, left_seconds: 2 };
    assert.equal(readQuarantine({ prefixes: [prefix] })[0]!.leftSeconds, 2);
    refuses(readQuarantine, { prefixes: {} }, 'prefixes');
  });

  test('of blocks has an end or none, and says whether there are more', () => {
    const block = { tenant: '', name: '<eve>', until_unix_ms: null, issued_before_unix_ms: 7000 };
    const page = { kind: 'user_tokens', blocks: [block], more: true };
    const read = readBlocks(page);
    assert.deepEqual([read.kind, read.more], ['user_tokens', true]);
    assert.deepEqual(read.blocks[0], { tenant: '', name: '<eve>', untilUnixMs: null, issuedBeforeUnixMs: 7000 });
    refuses(readBlocks, { ...page, more: 1 }, 'more');
    refuses(readBlocks, { ...page, blocks: [{ ...block, until_unix_ms: 'never' }] }, 'until_unix_ms');
  });

  test('of dead letters says where the next page begins', () => {
    const letter = {
      tenant: '', channel: 'dm#<b>,ben', offset: 7, user: 'ben', cause: 'tries', at_unix_ms: 7000, tries: 5,
    };
    const read = readDeadLetters({ dead_letters: [letter], next: 'ab' });
    assert.deepEqual(read.letters, [{
      tenant: '', channel: 'dm#<b>,ben', offset: 7, user: 'ben', cause: 'tries', atUnixMs: 7000, tries: 5,
    }]);
    assert.equal(read.next, 'ab');
    assert.equal(readDeadLetters({ dead_letters: [], next: null }).next, null);
    refuses(readDeadLetters, { dead_letters: [letter] }, 'next');
    refuses(readDeadLetters, { dead_letters: [{ ...letter, offset: '7' }], next: null }, 'offset');
  });

  test('without a presence feed has none, and of hooks has all numbers', () => {
    const sample = readSample(answer({ hooks: { connect: 3 } }));
    assert.deepEqual([sample.hooks.get('connect'), sample.presenceFeed], [3, null]);
    assert.equal(readSample(answer({ presenceFeed: { queued: 4 } })).presenceFeed?.get('queued'), 4);
    refuses(readSample, { ...answer(), hooks: null }, 'hooks');
    refuses(readSample, { ...answer(), presence_feed: [] }, 'presence_feed');
  });

  test('of alerts says whether anybody was asked', () => {
    assert.equal(readAlerts({ state: 'off', alerts: [], more: 0 }).state, 'off');
    refuses(readAlerts, { state: 'fine', alerts: [], more: 0 }, 'state');
    const alert = {
      name: 'ChatCoreLate', severity: 'critical', summary: 's', since: '1970-01-01T00:00:07.5Z', runbook: '',
      labels: { core: '3' },
    };
    const [read] = readAlerts({ state: 'good', alerts: [alert], more: 2 }).alerts;
    assert.deepEqual([read!.labels, read!.sinceUnixMs], [[['core', '3']], 7500]);
    refuses(readAlerts, { state: 'good', alerts: [{ ...alert, since: 'now' }], more: 0 }, 'since');
  });

  test('of tenants and of the audit trail keeps its order', () => {
    const tenant = { tenant: 'acme', connections: -1, opened: 2, published: 3, delivered: 4, failed: 5 };
    assert.deepEqual(readTenants({ tenants: [tenant] }), [tenant]);
    const event = {
      time_unix_ms: 1, event: 'user.blocked', actor: 'ann', via: 'console', from: '::1', target: 'eve',
      outcome: 'done', reason: '',
    };
    const audit = readAudit({ acts: [event, { ...event, from: null }], calls: [event], refusals: [] });
    assert.equal(audit.calls.length, 1);
    assert.deepEqual(audit.acts.map(({ from }) => from), ['::1', '']);
  });
});
