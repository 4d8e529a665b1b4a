// How fast a room of 10,000 loaded messages scrolls: frames a second of a page that scrolls a
// screen a second, five screens a second, and jumps.
//
//   node tests/external/web/scroll.mjs

import { arrive, launch, startChat, withoutPage } from './browser.mjs';
import { subscribed } from '../sdk/node/harness.mjs';

const COUNT = Number(process.argv[2] ?? 10_000);
const TOGETHER = 100;
// One user says all of it at once here.
process.env.ROOKERY_SESSION_COMMANDS_PER_S = '0';
process.env.ROOKERY_SESSION_BYTES_PER_S = '0';
process.env.ROOKERY_SESSION_ANSWER_BYTES_PER_S = '0';

const cleanups = [];
const t = { after: (act) => cleanups.unshift(act) };
const [server, browser] = await Promise.all([startChat(), launch()]);
try {
  const channel = 'room:long';
  const anna = await withoutPage(t, server, 'anna');
  await subscribed(anna, channel);
  for (let at = 0; at < COUNT; at += TOGETHER) {
    await Promise.all(Array.from({ length: TOGETHER }, (_, more) =>
      anna.rpc('chat.publish', { channel, data: { text: `${at + more} ${'word '.repeat((at + more) % 40)}` } })));
  }
  const page = await arrive(t, browser, server, 'ben', { room: 'long', loads: false });
  await page.locator('.row').first().waitFor();
  await page.evaluate(async () => {
    const scroller = document.querySelector('.scroller');
    while (!document.querySelector('.beginning')) {
      scroller.scrollTop = 0;
      await new Promise(requestAnimationFrame);
    }
  });
  for (const screens of [1, 5, 50]) {
    const figure = await page.evaluate(async (perSecond) => {
      const scroller = document.querySelector('.scroller');
      scroller.scrollTop = scroller.scrollHeight / 2;
      await new Promise(requestAnimationFrame);
      const began = performance.now();
      const frames = [began];
      let most = 0;
      while (frames.at(-1) - began < 5_000) {
        const now = await new Promise(requestAnimationFrame);
        scroller.scrollTop -= (scroller.clientHeight * perSecond * (now - frames.at(-1))) / 1000;
        most = Math.max(most, document.querySelectorAll('.row').length);
        frames.push(now);
      }
      const gaps = frames.slice(2).map((now, index) => now - frames[index + 1]).sort((one, other) => one - other);
      return {
        frames_per_s: Math.round(gaps.length / ((frames.at(-1) - frames[1]) / 1000)),
        p99_ms: Math.round(gaps[Math.floor(gaps.length * 0.99)]),
        rows_max: most,
      };
    }, screens);
    console.log(`${COUNT} messages, ${screens} screens a second:`, JSON.stringify(figure));
  }
} finally {
  for (const act of cleanups) await act();
  await browser.close();
  await server.stop();
}
