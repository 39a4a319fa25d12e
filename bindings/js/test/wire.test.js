'use strict';
const test = require('node:test');
const assert = require('node:assert');
const wire = require('../lib/wire.js');
const { Chunk } = require('../lib/record.js');
const spec = require('../lib/spec.js');

const plain = (v) => JSON.parse(JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? `${x}n` : x)));

test('values come back as they were', () => {
  for (const v of [null, true, false, 0, -1, 2 ** 53 - 1, -(2 ** 40), 1.5, '', 'häß😀', [], [1, [2, ['x']]], { a: { b: [null] }, '': 1 }, 2n ** 60n]) {
    assert.deepStrictEqual(plain(wire.decode(wire.encode(v))), plain(v));
  }
  assert.deepStrictEqual(wire.decode(wire.encode(Buffer.from([0, 255]))), Buffer.from([0, 255]));
});

test('garbled values cost an error and nothing else', () => {
  const whole = wire.encode({ text: 'abc', list: [1, 2.5, { x: Buffer.alloc(9) }], no: false });
  for (let cut = 0; cut < whole.length; cut++) assert.throws(() => wire.decode(whole.subarray(0, cut)), { code: 'protocol' });
  let random = 1;
  const next = () => (random = (random * 48271) % 0x7fffffff);
  for (let round = 0; round < 20000; round++) {
    const b = Buffer.from(whole);
    for (let k = 0; k < 1 + round % 4; k++) b[next() % b.length] = next();
    try {
      wire.decode(b);
    } catch (e) {
      assert.equal(e.code, 'protocol', e.stack);
    }
  }
  let deep = null;
  for (let i = 0; i < 20; i++) deep = [deep];
  assert.throws(() => wire.encode(deep), /nests too deep/);
});

test('frames are found whatever pieces they come in', () => {
  const all = Buffer.concat([wire.frame(4, { event: 'log' }), wire.frame(99, 'unknown'), wire.frame(3, { call: 1, long: 'x'.repeat(200000) })]);
  for (const piece of [1, 2, 3, 7, 64, 65536, all.length]) {
    if (piece === 1 && all.length > 1e6) continue;
    const kinds = [];
    const frames = new wire.Frames((kind, b, from, to) => kinds.push([kind, to - from]));
    for (let at = 0; at < all.length; at += piece) frames.take(all.subarray(at, at + piece));
    assert.deepStrictEqual(kinds.map(([k]) => k), [4, 99, 3]);
  }
  const frames = new wire.Frames(() => {});
  assert.throws(() => frames.take(Buffer.from([0, 0, 0, 0, 1])), { code: 'protocol' });
  assert.throws(() => new wire.Frames(() => {}).take(Buffer.from([255, 255, 255, 255, 1])), { code: 'protocol' });
});

test('garbled chunks and reports cost an error and nothing else', () => {
  let random = 7;
  const next = () => (random = (random * 48271) % 0x7fffffff);
  const chunk = Buffer.concat([
    Buffer.from('0100000002000000030000000400000000020000000300000065727211', 'hex').subarray(0, 25), Buffer.from('err'),
    Buffer.from('04000000080000000300000200000100000000000000000000e4be4f8b010000', 'hex'),
    Buffer.from('00000000000000000100000000000200ffffffffffffffff00e4be4f8b010000', 'hex'),
    Buffer.from('key49', 'latin1'), Buffer.from('0100010001000000', 'hex').subarray(0, 8), Buffer.from('data'), Buffer.from('k'),
  ]);
  chunk.writeUInt32LE(3, 21);
  chunk.writeUInt32LE(2, 17);
  const shard = { stream: 's', id: 'i' };
  const open = (b) => {
    const c = new Chunk(b, 0, b.length);
    c.of(shard);
    const records = [];
    while (c.index < c.count) records.push(c.next());
    return records;
  };
  const [a, b] = open(chunk);
  assert.deepStrictEqual([a.partitionKey, a.sequence, String(a.data), a.attempt], ['key', '49', 'data', 1]);
  assert.deepStrictEqual([b.partitionKey, b.sequence, b.data.length, b.attempt, b.subSequence], ['k', '49', 0, 2, -1]);
  const report = Buffer.alloc(8 + 8 + 3 + 16);
  report[4] = 1;
  report[10] = 3;
  report[12] = 1;
  const frames = [[chunk, open], [report, (b) => wire.reports(b, 0, b.length, () => {}, () => {})]];
  for (const [whole, take] of frames) {
    take(whole);
    for (let cut = 0; cut < whole.length; cut++) assert.throws(() => take(whole.subarray(0, cut)), { code: 'protocol' });
    for (let round = 0; round < 20000; round++) {
      const b = Buffer.from(whole);
      for (let k = 0; k < 1 + round % 4; k++) b[next() % b.length] = next();
      try {
        take(b);
      } catch (e) {
        assert.equal(e.code, 'protocol', e.stack);
      }
    }
  }
});

test('the failures of a chunk fit into its frame, however many and long they are', () => {
  for (const n of [1, 2000, 16384]) {
    const b = wire.settle(1, 2, 3, true, [], Array.from({ length: n }, (_, index) => ({ index, text: `${index}: ${'ü€'.repeat(8 << 10)}` })));
    assert.ok(b.length - 4 <= spec.FRAME_BYTES, `${n} failures take ${b.length} bytes`);
    let at = 26;
    for (let i = 0; i < n; i++) {
      const size = wire.u32(b, at + 4);
      const text = new TextDecoder('utf-8', { fatal: true }).decode(b.subarray(at + 8, at + 8 + size));
      assert.ok(text.startsWith(`${i}: ü€`), text.slice(0, 20));
      at += 8 + size;
    }
    assert.equal(at, b.length);
  }
});

test('headers come back in order, repeated names too', () => {
  const b = wire.encodeHeaders([['a', '1'], ['b', Buffer.from('2')], ['a', '3']]);
  assert.deepStrictEqual(wire.decodeHeaders(b).map(([k, v]) => [k, String(v)]), [['a', '1'], ['b', '2'], ['a', '3']]);
  assert.deepStrictEqual(wire.encodeHeaders({}), null);
  assert.throws(() => wire.encodeHeaders({ a: 1 }), { code: 'bad_option' });
  for (let cut = 1; cut < b.length; cut++) assert.throws(() => wire.decodeHeaders(b.subarray(0, cut)), { code: 'protocol' });
});

test('every code of the protocol has a class, which both module formats export', async () => {
  const cjs = require('..');
  const esm = await import('../index.mjs');
  for (const [code, C] of Object.entries(spec.ERRORS)) {
    assert.equal(new C('x').code, code);
    assert.ok(new C('x') instanceof cjs.VegasError);
    assert.equal(esm[C.name], C, `index.mjs lacks ${C.name}`);
  }
  for (const name of Object.keys(cjs)) assert.equal(esm[name], cjs[name], `index.mjs lacks ${name}`);
});
