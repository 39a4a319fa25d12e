'use strict';
// With a real engine, which VEGAS_ENGINE names (make test-js builds one).
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { run } = require('./program.js');

const engine = process.env.VEGAS_ENGINE;
assert.ok(engine, 'VEGAS_ENGINE names no engine: run make test-js');
const { Producer, Consumer, setLogger, testing } = require('..');

setLogger({});
let local;
let dir;
let streams = 0;

test.before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'vegas-js-'));
  local = await testing.LocalKinesis.start({ streams: { orders: 1, 'stream-name': 1 } });
});
test.after(async () => {
  await local.stop();
  fs.rmSync(dir, { recursive: true });
});

// call asks the local server as any client would.
async function call(op, args) {
  const r = await fetch(local.endpoint, {
    method: 'POST', body: JSON.stringify(args),
    headers: {
      'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `Kinesis_20131202.${op}`,
      authorization: 'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00',
    },
  });
  const text = await r.text();
  assert.ok(r.ok, `${op}: ${text}`);
  return text === '' ? {} : JSON.parse(text);
}

async function stream(shards = 1) {
  const name = `stream-${++streams}`;
  await call('CreateStream', { StreamName: name, ShardCount: shards });
  for (;;) {
    const d = await call('DescribeStreamSummary', { StreamName: name });
    if (d.StreamDescriptionSummary.StreamStatus === 'ACTIVE') return name;
    await new Promise((r) => setTimeout(r, 10));
  }
}

const at = (more) => ({ endpoint: local.endpoint, pollIdle: 250, pollBusy: 250, ...more });
const to = (more) => ({ endpoint: local.endpoint, ...more });

// receive reads a stream until that many different records have come, in a group of its
// own. After half a minute it fails.
async function receive(name, count, options = {}) {
  const got = new Map();
  const order = [];
  const over = AbortSignal.timeout(30_000);
  const c = new Consumer(name, `reader-${Math.random().toString(36).slice(2)}`, at({ signal: over, ...options }));
  for await (const r of c) {
    got.set(r.text, r);
    order.push(r.text);
    if (got.size >= count) break;
  }
  assert.ok(got.size >= count, `${got.size} of ${count} records came`);
  return { got, order };
}

test('what is sent is received', async () => {
  const name = await stream(2);
  const p = new Producer(name, to());
  const big = Buffer.alloc(1 << 20, 'x').subarray(0, (1 << 20) - 300);
  const receipts = await Promise.all([
    p.send('ключ-🔑', 'grüße', { headers: [['trace', 'a'], ['trace', 'b']] }),
    p.send('k'.repeat(256), Buffer.alloc(0)),
    p.send('k', 'explicit', { explicitHashKey: (1n << 128n) - 1n }),
    p.send('big', big),
  ]);
  assert.ok(receipts.every((r) => r.shard.startsWith('shardId-') && r.sequence.length > 50));
  const got = new Map();
  const c = new Consumer(name, 'billing', (r) => { got.set(r.partitionKey, r); if (got.size === 4) c.close(); }, at());
  await c.wait();
  const a = got.get('ключ-🔑');
  assert.equal(a.text, 'grüße');
  assert.deepStrictEqual(a.headers.getAll('trace'), ['a', 'b']);
  assert.equal(a.sequence, receipts[0].sequence);
  assert.equal(a.subSequence, receipts[0].subSequence);
  assert.equal(a.shard, receipts[0].shard);
  assert.equal(a.stream, name);
  assert.ok(Math.abs(Date.now() - a.arrivalTime) < 60000);
  assert.equal(got.get('k'.repeat(256)).data.length, 0);
  assert.equal(got.get('k').explicitHashKey, String((1n << 128n) - 1n));
  assert.ok(got.get('big').data.equals(big));
  await p.check();
  assert.equal((await p.stats()).records_sent, 4);
  await p.close();
});

test('errors have the service\'s reason and a remedy', async () => {
  const p = new Producer('no-such-stream', to({ deadline: 2000 }));
  await assert.rejects(p.check(), { code: 'not_found' });
  await assert.rejects(p.send('k', 'x'), { code: 'not_found', unknown: false });
  await p.close();
  const name = await stream();
  const q = new Producer(name, to());
  await assert.rejects(q.send('', 'x'), { code: 'bad_option' });
  await assert.rejects(q.send('k'.repeat(257), 'x'), { code: 'bad_option' });
  await assert.rejects(q.send('k', Buffer.alloc(2 << 20)), { code: 'too_large' });
  await q.close();
  const c = new Consumer('no-such-stream', 'g', () => {}, at());
  await assert.rejects(c.wait(), { code: 'not_found' });
  const d = new Consumer(name, 'g', () => {}, at({ store: 'nowhere' }));
  await assert.rejects(d.wait(), { code: 'bad_option' });
  const e = new Producer(name, to({ endpoint: 'nonsense' }));
  await assert.rejects(e.send('k', 'x'), { code: 'bad_option' });
});

test('the failure policies', async () => {
  const name = await stream();
  const p = new Producer(name, to());
  for (let i = 0; i < 10; i++) p.send('k', `r${i}`);
  await p.close();
  const fails = (r) => { if (r.text === 'r4') throw new Error('never'); };

  let seen = [];
  const skip = new Consumer(name, 'skip', (r) => { seen.push(r.text); fails(r); if (r.text === 'r9') skip.close(); }, at({ onError: 'skip', maxAttempts: 2 }));
  await skip.wait();
  assert.deepStrictEqual(seen, ['r0', 'r1', 'r2', 'r3', 'r4', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9']);

  const dead = [];
  const letters = new Consumer(name, 'letters', (r) => { fails(r); if (r.text === 'r9') letters.close(); }, at({ maxAttempts: 2, deadLetter: async (r, e) => dead.push([r.text, /Error: never[^]*fails/.test(e.message)]) }));
  await letters.wait();
  assert.deepStrictEqual(dead, [['r4', true]]);

  const stop = new Consumer(name, 'stop', fails, at({ onError: 'stop', maxAttempts: 1 }));
  await assert.rejects(stop.wait(), (e) => e.code === 'handler' && /never/.test(e.message));

  seen = [];
  let attempts = 0;
  const hold = new Consumer(name, 'hold', (r) => { seen.push(r.text); if (r.text === 'r4' && (attempts = r.attempt) < 3) throw new Error('not yet'); if (r.text === 'r9') hold.close(); }, at());
  await hold.wait();
  assert.equal(attempts, 3);
  assert.deepStrictEqual([...new Set(seen)].length, 10);
});

test('a handler that never returns is told of where the program waits', async () => {
  const name = await stream();
  const p = new Producer(name, to());
  await p.send('k', 'stuck');
  await p.close();
  let begin;
  const began = new Promise((resolve) => { begin = resolve; });
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  const c = new Consumer(name, 'g', () => {
    begin();
    return held;
  }, at({ grace: 100 }));
  await began;
  await c.close();
  await assert.rejects(c.wait(), (e) => e.code === 'grace_over' && /shardId-000000000000 \(unfinished records: 1\)/.test(e.text) && /grace-over/.test(e.remedy));
  release();
});

test('a local server has its options in camel case, and knows no others', async () => {
  const other = await testing.LocalKinesis.start({ streams: ['large'], recordBytes: 10 << 20, noLimits: true, stateDelay: 0 });
  const p = new Producer('large', { endpoint: other.endpoint });
  await p.send('k', Buffer.alloc(5 << 20));
  await p.close();
  await other.stop();
  await assert.rejects(testing.LocalKinesis.start({ record_bytes: 10 << 20 }), /did you mean recordBytes\?/);
});

test('manual checkpoints', async () => {
  const name = await stream();
  const p = new Producer(name, to());
  for (let i = 0; i < 10; i++) p.send('k', `r${i}`);
  await p.close();
  let old;
  const seen = [];
  const c = new Consumer(name, 'manual', async (r) => {
    seen.push(r.text);
    if (r.text === 'r5') await c.checkpoint(old = r);
    if (r.text === 'r9') c.close();
  }, at({ checkpoint: 'manual' }));
  await c.wait();
  assert.equal(seen.length, 10);
  const again = [];
  const d = new Consumer(name, 'manual', async (r) => {
    again.push(r.text);
    if (r.text === 'r9') {
      await assert.rejects(c.checkpoint(old), { code: 'lease_lost' });
      await assert.rejects(d.checkpoint(old), { code: 'lease_lost' });
      d.close();
    }
  }, at({ checkpoint: 'manual' }));
  await d.wait();
  assert.deepStrictEqual(again, ['r6', 'r7', 'r8', 'r9']);
});

test('order and completeness in the face of splits, faults and two consumers of a group', async () => {
  const name = await stream(2);
  const p = new Producer(name, to());
  const seen = new Map();
  let got = 0;
  const last = new Map();
  const handler = (r) => {
    const n = Number(r.text);
    if (seen.has(n)) return;
    seen.set(n, r.shard);
    assert.ok(n > (last.get(r.partitionKey) ?? -1), `${n} of ${r.partitionKey} after ${last.get(r.partitionKey)}`);
    last.set(r.partitionKey, n);
    if (++got === 3000) { c.close(); d.close(); }
  };
  const c = new Consumer(name, 'g', handler, at({ parallel: 8 }));
  const d = new Consumer(name, 'g', async (r) => handler(r), at());
  for (let i = 0; i < 3000; i++) {
    await p.ready();
    p.send(`key-${i % 50}`, String(i));
    if (i % 100 === 0) await new Promise((r) => setTimeout(r, 5));
    if (i === 1000) await fetch(`${local.endpoint}/_vegas/faults`, { method: 'POST', body: JSON.stringify({ do: 'throttle', op: 'PutRecords', count: 3 }) });
    if (i === 1500) await call('UpdateShardCount', { StreamName: name, TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' });
  }
  await p.close();
  await Promise.all([c.wait(), d.wait()]);
  assert.equal(got, 3000);
});

test('a killed engine: open records are unknown, consumers go on from their checkpoints', async (t) => {
  const name = await stream();
  const other = path.join(dir, 'other-engine');
  fs.symlinkSync(path.resolve(engine), other);
  const env = { ...local.environment };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: env.AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: env.AWS_SECRET_ACCESS_KEY });
  const { Engine } = require('../lib/engine.js');
  const p = new Producer(name, to({ engine: other }));
  const seen = new Set();
  const c = new Consumer(name, 'g', async (r) => { seen.add(r.text); }, at({ engine: other, store: `file:${dir}/store`, leaseTime: 2000 }));
  t.after(() => Promise.allSettled([c.close(), p.close()])); // or a failure here holds up all
  await p.check(); // it is open
  const stored = new Set();
  let unknown = 0;
  for (let i = 0; i < 4000; i++) {
    await p.ready();
    p.send(`key-${i % 10}`, String(i)).then(() => stored.add(String(i)), (e) => {
      assert.equal(e.code, 'engine_gone', e.message);
      if (e.unknown) unknown++;
    });
    if (i % 200 === 100) await new Promise((r) => setTimeout(r, 5));
    if (i !== 2000) continue;
    await new Promise(setImmediate); // what was sent is in the pipe, and no report was read since
    process.kill(Engine.of(other).session.child.pid, 'SIGKILL');
  }
  await p.flush();
  assert.ok(unknown > 0 && stored.size > 1000, `${unknown} unknown, ${stored.size} stored`);
  assert.equal(stored.size + unknown, 4000);
  const end = Date.now() + 20000;
  while ([...stored].some((s) => !seen.has(s)) && Date.now() < end) await new Promise((r) => setTimeout(r, 50));
  assert.ok([...stored].every((s) => seen.has(s)), `${seen.size} seen of ${stored.size} stored`);
});

const program = (text, more) => run(text, { env: { VEGAS_ENGINE: engine, ...local.environment, VEGAS_STORE: `file:${dir}/programs` }, ...more });

test('programs that end while they are busy lose nothing that they sent', async () => {
  for (const [how, end] of [['exit', ''], ['process.exit', 'process.exit(0)']]) {
    const name = await stream();
    const r = await program(`
      const { Producer } = require('.');
      const p = new Producer('${name}');
      p.check().then(() => { for (let i = 0; i < 2000; i++) p.send('key-' + i % 9, 'record ' + i); ${end} });`);
    assert.deepStrictEqual([how, r.code, r.err], [how, 0, '']);
    assert.equal((await receive(name, 2000)).got.size, 2000);
  }
});

test('a killed program: what it had a receipt for is in the stream, and its shards are free at once', async () => {
  const name = await stream();
  const r = await program(`
    const { Producer, Consumer } = require('.');
    const p = new Producer('${name}');
    const c = new Consumer('${name}', 'killed', async (r) => console.log('got'), { leaseTime: 60000 });
    let n = 0;
    setInterval(() => { for (let i = 0; i < 50; i++) { const k = n++; p.send('k', 'record ' + k).then(() => console.log('stored ' + k)); } }, 5);`, {
    during: async (child, says) => {
      await says('got');
      await says('stored 500');
      child.kill('SIGKILL');
    },
  });
  assert.equal(r.signal, 'SIGKILL');
  const stored = r.out.split('\n').filter((l) => l.startsWith('stored')).map((l) => l.slice(7));
  const { got } = await receive(name, stored.length);
  for (const k of stored) assert.ok(got.has(`record ${k}`) || got.size > stored.length, k);
  const begin = Date.now();
  const c = new Consumer(name, 'killed', () => c.close(), at({ store: `file:${dir}/programs` }));
  await c.wait();
  assert.ok(Date.now() - begin < 20000);
});

test('at SIGTERM producers take what handlers send until they return', async () => {
  const [from, into] = [await stream(), await stream()];
  const p = new Producer(from, to());
  await p.send('k', 'one');
  await p.close();
  const r = await program(`
    const { Producer, Consumer } = require('.');
    const p = new Producer('${into}');
    new Consumer('${from}', 'copies', async (r) => {
      console.log('began');
      await new Promise((ok) => setTimeout(ok, 500));
      p.send('k', 'copy of ' + r.text);
    });`, {
    during: async (child, says) => {
      await says('began');
      child.kill('SIGTERM');
    },
  });
  assert.deepStrictEqual([r.signal, r.err], ['SIGTERM', '']);
  assert.deepStrictEqual((await receive(into, 1)).order, ['copy of one']);
});

// The sample of docs/languages.md, as it stands.
const sample = fs.readFileSync(path.join(__dirname, '..', 'examples', 'sample.mjs'), 'utf8');

test('the sample: it runs, and Ctrl-C gives its shards back', async () => {
  for (let i = 0; i < 2; i++) {
    const r = await program(sample, {
      esm: true,
      during: async (child, says) => {
        await says('partition-key:message');
        child.kill('SIGINT');
      },
    });
    assert.equal(r.signal, 'SIGINT', JSON.stringify(r));
    assert.equal(r.err, '');
    assert.match(r.out, /^Consumer is running. Press ctrl\+c to stop\n(partition-key:message\n)+$/);
    assert.equal(r.out.match(/message/g).length, 1, 'the checkpoint was lost');
  }
  // A lease that runs out, instead of being given back, counts as the death of its owner.
  const p = new Producer('stream-name', to());
  await p.send('partition-key', 'more');
  await p.close();
  const deaths = [];
  const c = new Consumer('stream-name', 'efo-arn', (r, shard) => {
    deaths.push([r.text, shard.takeovers]);
    c.close();
  }, at({ store: `file:${dir}/programs` }));
  await c.wait();
  assert.deepStrictEqual(deaths, [['more', 0]]);
});

test('the sample with a fan-out consumer\'s ARN', async () => {
  const name = await stream();
  const { StreamDescriptionSummary: d } = await call('DescribeStreamSummary', { StreamName: name });
  const { Consumer: efo } = await call('RegisterStreamConsumer', { StreamARN: d.StreamARN, ConsumerName: 'efo' });
  const r = await program(sample.replaceAll("'stream-name'", `'${name}'`).replace("'efo-arn'", `'${efo.ConsumerARN}'`), {
    esm: true,
    during: async (child, says) => {
      await says('partition-key:message');
      child.kill('SIGINT');
    },
  });
  assert.equal(r.signal, 'SIGINT', JSON.stringify(r));
});

test('a durable producer whose program is killed', async () => {
  const name = await stream();
  const r = await program(`
    const { Producer } = require('.');
    const p = new Producer('${name}', { durable: '${dir}/spool' });
    let n = 0;
    setInterval(() => { for (let i = 0; i < 20; i++) { const k = n++; p.send('k', 'record ' + k).then((r) => console.log('durable ' + k, r.durable)); } }, 5);`, {
    during: async (child, says) => {
      await says('durable 300 true');
      child.kill('SIGKILL');
    },
  });
  const safe = r.out.split('\n').filter((l) => l.endsWith('true')).length;
  // What the engine had not sent yet is sent by the next one that opens the directory.
  const p = new Producer(name, to({ durable: `${dir}/spool` }));
  await p.close();
  const { got } = await receive(name, safe);
  assert.ok(got.size >= safe);
});
