// Histories and live publications in any order make the same list.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MESSAGES_MAX, Timeline, contentOf, dataOf, type Publication } from '../src/index.js';

const NOW = 1_000_000;

const said = (offset: number, text = `m${offset}`, tags: Record<string, string> = {}): Publication => ({
  offset, data: { text }, info: { user: 'anna' }, tags: { id: `i${offset}`, ...tags }, time: offset,
});
const edit = (offset: number, target: number, text: string): Publication =>
  ({ offset, data: { text }, info: { user: 'anna' }, tags: { edits: `${target}`, id: `i${offset}` } });
const retraction = (offset: number, target: number): Publication =>
  ({ offset, data: { retracted: target }, tags: { retracts: `${target}` } });

const page = (mark = 0, top = 0, hasMore = false) => ({ hasMore, mark, now: NOW, top });
const loaded = (publications: Publication[], hasMore = false): Timeline => {
  const timeline = new Timeline();
  timeline.page('newest', publications, page(0, publications.at(-1)?.offset ?? 0, hasMore));
  return timeline;
};
const texts = (timeline: Timeline) =>
  timeline.messages.map(({ offset, text, isRetracted }) => (isRetracted ? `${offset} gone` : `${offset} ${text}`));

describe('a timeline', () => {
  test('is in the order of offsets, whatever came first', () => {
    const timeline = loaded([said(3), said(4)], true);
    assert.equal(timeline.live(said(5), 5, NOW), 'next');
    assert.equal(timeline.live(said(5), 5, NOW), 'known');
    timeline.page('earlier', [said(1), said(2), said(3)], page());
    assert.deepEqual(texts(timeline), ['1 m1', '2 m2', '3 m3', '4 m4', '5 m5']);
    assert.deepEqual([timeline.first, timeline.top, timeline.hasEarlier], [1, 5, false]);
  });

  test('keeps what came before its history aside', () => {
    const timeline = new Timeline();
    assert.equal(timeline.live(said(3), 3, NOW), 'unloaded');
    assert.equal(timeline.live(said(2), 2, NOW), 'unloaded');
    assert.deepEqual(texts(timeline), []);
    timeline.page('newest', [said(1), said(2)], page(0, 2));
    assert.deepEqual(texts(timeline), ['1 m1', '2 m2', '3 m3']);
    assert.equal(timeline.isBehind, false);
  });

  test('says where something is missing, and goes on when it was read', () => {
    const timeline = loaded([said(1)]);
    assert.equal(timeline.live(said(4), 4, NOW), 'gap');
    assert.equal(timeline.live(edit(5, 4, 'four'), 5, NOW), 'gap');
    assert.equal(timeline.isBehind, true);
    assert.deepEqual(texts(timeline), ['1 m1']);
    timeline.page('later', [said(2), said(3)], page(0, 5, true));
    assert.deepEqual(texts(timeline), ['1 m1', '2 m2', '3 m3', '4 four']);
    assert.deepEqual([timeline.isBehind, timeline.top], [false, 5]);
  });

  test('a gap of what is not kept any more is no gap', () => {
    const timeline = loaded([said(1)]);
    timeline.live(said(9), 9, NOW);
    timeline.page('later', [said(7)], page(0, 8));
    assert.deepEqual(texts(timeline), ['1 m1', '7 m7', '9 m9']);
  });

  test('edits and retractions find their messages, in any order', () => {
    const orders: [string, Publication[]][] = [
      ['edit, edit', [said(1), said(2), edit(3, 1, 'a'), edit(4, 1, 'b')]],
      ['of an old history', [said(1), said(2)]],
    ];
    for (const [name, publications] of orders) {
      const timeline = loaded(publications);
      if (publications.length === 2) {
        timeline.live(edit(3, 1, 'a'), 3, NOW);
        timeline.live(edit(4, 1, 'b'), 4, NOW);
      }
      assert.deepEqual(texts(timeline), ['1 b', '2 m2'], name);
      timeline.live(retraction(5, 1), 5, NOW);
      timeline.live(edit(6, 1, 'late'), 6, NOW);
      assert.deepEqual(texts(timeline), ['1 gone', '2 m2'], name);
    }
  });

  test('a change that came before its message is not lost, and an old one changes nothing', () => {
    const timeline = loaded([said(4)], true);
    timeline.live(edit(5, 2, 'new'), 5, NOW);
    timeline.live(retraction(6, 3), 6, NOW);
    timeline.live(edit(7, 1, 'older than the history'), 7, NOW);
    const newest = said(1, 'newest', { edited: '1', edit_offset: '8' });
    timeline.page('earlier', [newest, said(2), said(3)], page());
    assert.deepEqual(texts(timeline), ['1 newest', '2 new', '3 gone', '4 m4']);
  });

  test('words that were replaced take their place and are not shown', () => {
    const superseded = { offset: 2, data: { edited: 1 }, tags: { edits: '1', superseded: 'true' } };
    const timeline = loaded([said(1, 'last', { edit_offset: '3' }), superseded, edit(3, 1, 'last')]);
    assert.deepEqual([texts(timeline), timeline.top], [['1 last'], 3]);
  });

  test('data of another form is no text', () => {
    for (const data of [null, 7, 'text', [], { text: 7 }, { other: 'x' }]) {
      const timeline = loaded([{ offset: 1, data, info: { user: 'anna' } }]);
      assert.deepEqual(timeline.messages.map(({ text, isKnown }) => [text, isKnown]), [['', false]]);
    }
  });

  test('every cut of a stream into history and live gives the same', () => {
    const stream = [
      said(1), said(2), edit(3, 1, 'x'), said(4), retraction(5, 2), edit(6, 1, 'y'), said(7),
    ];
    const want = ['1 y', '2 gone', '4 m4', '7 m7'];
    for (let cut = 1; cut <= stream.length; cut += 1) {
      for (let from = 0; from < cut; from += 1) {
        const timeline = loaded(stream.slice(from, cut), from > 0);
        for (const one of stream.slice(cut)) timeline.live(one, one.offset!, NOW);
        timeline.page('earlier', stream.slice(0, from), page());
        assert.deepEqual(texts(timeline), want, `${from} ${cut}`);
      }
    }
  });

  test('of a page that stays open forgets what is old, which can be read again', () => {
    const timeline = loaded([said(1)]);
    for (let offset = 2; offset <= MESSAGES_MAX + 1; offset += 1) timeline.live(said(offset), offset, NOW);
    const first = MESSAGES_MAX / 10 + 1;
    const { messages } = timeline;
    assert.deepEqual([messages[0]!.offset, messages.length, timeline.first, timeline.hasEarlier],
      [first, MESSAGES_MAX - first + 2, first, true]);
    timeline.page('earlier', [said(first - 1)], page(0, 0, true));
    assert.equal(timeline.messages[0]!.offset, first - 1);
  });

  test('another stream begins anew', () => {
    const timeline = loaded([said(1), said(2)]);
    timeline.reset();
    assert.deepEqual([texts(timeline), timeline.isLoaded, timeline.top], [[], false, 0]);
  });
});

describe('attachments', () => {
  const file = { url: 'https://files.example/a', name: 'a.txt', type: 'text/plain', bytes: 3 };

  test('go with a message, stay with an edit that has them, and go with a retraction', () => {
    const data = dataOf('see', [file]);
    const timeline = loaded([{ offset: 1, data, info: { user: 'anna' } }]);
    const names = () => timeline.messages[0]!.attachments.map(({ name }) => name);
    assert.deepEqual(names(), ['a.txt']);
    timeline.live({ ...edit(2, 1, ''), data: dataOf('see this', [file]) }, 2, NOW);
    assert.deepEqual([texts(timeline), names()], [['1 see this'], ['a.txt']]);
    timeline.live(retraction(3, 1), 3, NOW);
    assert.deepEqual(names(), []);
  });

  test('lead to the web alone, and are at most ten', () => {
    const of = (attachments: unknown) => contentOf({ text: '', attachments }).attachments.length;
    assert.deepEqual([of([file]), of(Array(20).fill(file)), of('x'), of([null, 7, {}])], [1, 10, 0, 0]);
    for (const url of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', '/a', 'x', 7]) {
      assert.equal(of([{ ...file, url }]), 0, `${url}`);
    }
    assert.deepEqual(dataOf('x', []), { text: 'x' });
  });
});

describe('reactions', () => {
  const reactions = (timeline: Timeline, offset: number) => {
    const found = timeline.messages.find((message) => message.offset === offset)!;
    return [found.reactions.totals.map(({ value, count }) => `${value}${count}`).join(), found.reactions.own];
  };

  test('come with a history, and by notices that say all', () => {
    const tag = JSON.stringify({ totals: [{ value: '+', count: 2 }], own: '+' });
    const timeline = loaded([said(1, 'm', { reactions: tag })]);
    assert.deepEqual(reactions(timeline, 1), ['+2', '+']);
    timeline.reacted({ offset: 1, totals: [{ value: '+', count: 3 }] }, 'me');
    assert.deepEqual(reactions(timeline, 1), ['+3', '+'], 'nobody is named');
    timeline.reacted({ offset: 1, user: 'me', value: '', totals: [{ value: '+', count: 2 }] }, 'me');
    assert.deepEqual(reactions(timeline, 1), ['+2', '']);
  });

  test('a history that was asked for before a notice does not undo it', () => {
    const timeline = loaded([said(2)], true);
    const mark = timeline.mark();
    timeline.reacted({ offset: 1, totals: [{ value: 'n', count: 1 }] }, 'me');
    const tag = JSON.stringify({ totals: [{ value: 'o', count: 1 }] });
    timeline.page('earlier', [said(1, 'm', { reactions: tag })], page(mark));
    assert.deepEqual(reactions(timeline, 1), ['n1', '']);
    timeline.reactionsRead([1], new Map(), mark);
    assert.deepEqual(reactions(timeline, 1), ['n1', '']);
    timeline.reactionsRead([1], new Map(), timeline.mark());
    assert.deepEqual(reactions(timeline, 1), ['', '']);
  });

  test('this user has one, and sees it at once', () => {
    const timeline = loaded([said(1)]);
    timeline.reactOwn(1, 'a');
    timeline.reactOwn(1, 'b');
    assert.deepEqual(reactions(timeline, 1), ['b1', 'b']);
    timeline.reactOwn(1, '');
    assert.deepEqual(reactions(timeline, 1), ['', '']);
  });

  test('what is not a notice changes nothing', () => {
    const timeline = loaded([said(1)]);
    for (const notice of [null, 7, {}, { offset: 'x', totals: [] }, { offset: 1, totals: 7 }]) {
      timeline.reacted(notice, 'me');
    }
    timeline.page('earlier', [said(0, 'm', { reactions: '{' })], page());
    assert.deepEqual(reactions(timeline, 1), ['', '']);
  });
});
