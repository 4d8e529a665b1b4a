// What the tests themselves stand on.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { freePort } from './harness.mjs';

test('no port is given twice', async () => {
  // By chance alone, two of so many would be the same.
  process.env.ROOKERY_TEST_PORTS = '30400-30799';
  const ports = [];
  for (let count = 0; count < 100; count += 1) ports.push(await freePort());
  assert.equal(new Set(ports).size, ports.length);
});
