'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { fake } = require('./program.js');

process.env.VEGAS_ENGINE = fake;
process.env.FAKE = JSON.stringify({ window: 20000 });
const { Producer, VegasError, ThrottledError, setLogger } = require('..');

const logged = [];
setLogger({ warn: (t) => logged.push(t), error: (t) => logged.push(t) });

function producer(t, options) {
  const p = new Producer('orders', options);
  t.after(() => p.close().catch(() => {}));
  return p;
}

test('a record gets its receipt', async (t) => {
  const p = producer(t);
  const r = await p.send('key', Buffer.from('data'), { headers: { h: 'v' }, explicitHashKey: 5n });
  assert.equal(r.shard, 'shardId-000000000000');
  assert.equal(r.subSequence, 0);
  assert.equal(r.durable, false);
  assert.match(r.sequence, /^49/);
  for (const data of ['text', new Uint8Array(3), new ArrayBuffer(2), new Uint16Array(2), Buffer.alloc(0)]) await p.send('ü€😀', data);
});

test('every record has one result, in the face of a small window', async (t) => {
  const p = producer(t);
  const seen = new Map();
  for (let i = 0; i < 5000; i++) {
    await p.ready();
    p.send(`k${i % 7}`, i % 100 === 3 ? 'fail' : i % 100 === 4 ? 'unknown' : `data of record ${i}`)
      .then((r) => seen.set(i, r.shard), (e) => seen.set(i, e.unknown));
  }
  assert.equal(await p.flush(), 0);
  assert.equal(seen.size, 5000);
  for (const [i, r] of seen) assert.equal(r, i % 100 === 3 ? false : i % 100 === 4 ? true : 'shardId-000000000000');
});

test('records as large as a frame may be cross, also above the window', async (t) => {
  const p = producer(t);
  await Promise.all([p.send('k', Buffer.alloc(10 << 20)), p.send('k', 'x'), p.send('k', Buffer.alloc(300000)), p.send('k', Buffer.alloc(1 << 20))]);
  await assert.rejects(p.send('k', Buffer.alloc(17 << 20)), { code: 'too_large' });
});

test('bad arguments reject with what to give instead', async (t) => {
  const p = producer(t);
  const bad = { code: 'bad_option' };
  await assert.rejects(p.send(5, 'x'), bad);
  await assert.rejects(p.send('k', 5), bad);
  await assert.rejects(p.send('k', null), bad);
  await assert.rejects(p.send('k', { a: 1 }), /a Buffer, a Uint8Array or a text/);
  await assert.rejects(p.send('half \ud800', 'x'), /surrogate/);
  await assert.rejects(p.send('ü'.repeat(1000), 'x'), bad);
  await assert.rejects(p.send('k', 'x', { explicitHashKey: 'abc' }), bad);
  await assert.rejects(p.send('k', 'x', { headers: { a: 5 } }), bad);
  await assert.rejects(p.send('k', 'x', 'headers'), bad);
  assert.throws(() => new Producer('orders', { lingr: 5 }), /did you mean linger\?/);
  assert.throws(() => new Producer('orders', { buffer_bytes: 5 }), /did you mean bufferBytes\?/);
  assert.throws(() => new Producer('orders', { linger: '5s' }), /milliseconds/);
  assert.throws(() => new Producer('orders', { onFailure: 'explode' }), /'fail_record' or 'fail_key'/);
  assert.throws(() => new Producer(''), bad);
});

test('a failure that nobody looks at is raised by flush and logged, one that somebody did is not', async (t) => {
  const p = producer(t);
  const looked = p.send('k', 'fail');
  await assert.rejects(looked, ThrottledError);
  await p.flush();
  p.send('k', 'fail');
  p.send('k', 'unknown');
  await assert.rejects(p.flush(), (e) => e instanceof ThrottledError && /2 records .* nobody looked/.test(e.message));
  await p.flush();
  const late = p.send('k', 'fail');
  await new Promise((r) => setTimeout(r, 50));
  await assert.rejects(late, VegasError);
  await p.flush();
  p.send('k', 'fail');
  await assert.rejects(p.close(), ThrottledError);
  await assert.rejects(p.send('k', 'x'), { code: 'closed' });
});

test('who sends first and looks seconds later finds no line of it in the log', async (t) => {
  const p = producer(t);
  const late = p.send('k', 'fail');
  await new Promise((r) => setTimeout(r, 2000));
  await assert.rejects(late, ThrottledError);
  assert.deepStrictEqual(logged.filter((l) => /nobody looked/.test(l)), []);
});

test('a durable producer has its flush say how many are left', async (t) => {
  const p = producer(t, { durable: '/nowhere' });
  p.send('k', 'hang');
  assert.equal(await p.flush({ timeout: 0 }), 1);
  assert.equal(await p.flush(), 0);
});

test('room: buffer_full, and ready waits for it', async (t) => {
  const p = producer(t, { bufferBytes: 40000 });
  const results = [];
  for (let i = 0; i < 200; i++) results.push(p.send('k', Buffer.alloc(100)));
  const ends = await Promise.allSettled(results);
  const full = ends.filter((r) => r.status === 'rejected');
  assert.ok(full.length > 50 && full.length < 150, `${full.length} of 200 were refused`);
  for (const f of full) assert.equal(f.reason.code, 'buffer_full');
  for (let i = 0; i < 90; i++) p.send('k', Buffer.alloc(100)).catch(() => {});
  await p.ready();
  await p.send('k', Buffer.alloc(100));
  const aborted = new AbortController();
  aborted.abort(new Error('enough'));
  for (let i = 0; i < 90; i++) p.send('k', Buffer.alloc(100)).catch(() => {});
  await assert.rejects(p.ready({ signal: aborted.signal }), /enough/);
});

test('flush rejects at its timeout, and its signal ends the waiting', async (t) => {
  const p = producer(t);
  p.send('k', 'hang');
  await assert.rejects(p.flush({ timeout: 0 }), (e) => e.code === 'timeout' && /1 records sent to "orders" have no result after 0 ms/.test(e.text));
  assert.equal(await p.flush(), 0);
  const c = new AbortController();
  c.abort(new Error('no time'));
  await assert.rejects(p.flush({ signal: c.signal }), /no time/);
});

test('killed engines: what is open is unknown, what waits goes to the next one', async (t) => {
  const p = producer(t);
  await p.send('k', 'x');
  const before = (await p.stats()).pid;
  const hangs = p.send('k', 'hang');
  const dies = p.send('k', 'die');
  setImmediate(() => setImmediate(() => p.send('k', 'after').catch(() => {})));
  await assert.rejects(hangs, (e) => e.code === 'engine_gone' && e.unknown && /SIGKILL/.test(e.message));
  await assert.rejects(dies, { code: 'engine_gone', unknown: true });
  const r = await p.send('k', 'new');
  assert.equal(r.shard, 'shardId-000000000000');
  assert.notEqual((await p.stats()).pid, before);
  assert.ok(logged.some((l) => /starting another/.test(l)), logged.join('\n'));
  assert.equal(await p.flush(), 0);
});
