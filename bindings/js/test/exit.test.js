'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { run } = require('./program.js');

const head = "const { Producer, Consumer } = require('.');";

test('an idle engine does not hold the process up', async () => {
  const r = await run(`${head} const p = new Producer('s'); p.send('k', 'x').then(() => console.log('sent'))`);
  assert.deepStrictEqual(r, { code: 0, signal: null, out: 'sent\n', err: '' });
});

test('a normal exit sends what nobody waits for, also what a report needs a flush for', async () => {
  const r = await run(`${head} const p = new Producer('s'); p.send('k', 'hang'); for (let i = 0; i < 9999; i++) p.send('k', 'x'); process.on('exit', () => console.log('left'))`);
  assert.deepStrictEqual(r, { code: 0, signal: null, out: 'left\n', err: '' });
});

test('failures that nobody looked at are logged at the exit', async () => {
  const r = await run(`${head} const p = new Producer('s'); p.send('k', 'fail'); p.send('k', 'unknown')`);
  assert.equal(r.code, 0);
  assert.match(r.err, /^vegas warn: 2 records sent to "s" failed, and nobody looked at it; the first: record 0 was refused: wait/);
});

test('the exit waits no longer than closeTimeout, and says how many are left', async () => {
  const r = await run(`${head} const p = new Producer('s', { closeTimeout: 0 }); p.send('k', 'hang'); p.send('k', 'x').then(() => console.log('one'))`);
  assert.equal(r.code, 0);
  assert.match(r.err, /ends with 1 records whose result is not known/);
});

test('process.exit sends and reads what it can without an event loop', async () => {
  const r = await run(`${head} const p = new Producer('s'); p.check().then(() => { for (let i = 0; i < 30000; i++) p.send('k', 'x'.repeat(100)); process.exit(3) })`);
  assert.deepStrictEqual(r, { code: 3, signal: null, out: '', err: '' });
});

test('a running consumer keeps the process alive; SIGINT closes it and then ends the process as ever', async () => {
  for (const name of ['SIGINT', 'SIGTERM']) {
    const r = await run(`${head} const c = new Consumer('s', 'g', (r) => { if (r.text === 'data-4') console.log('handled'); return r.text === 'data-5' ? new Promise(() => {}) : undefined });
      c.wait().then(() => console.log('closed')); new Producer('s').send('k', 'x')`, {
      fakes: { records: 6, chunk: 5 },
      during: async (child, says) => {
        await says('handled');
        child.kill(name);
      },
    });
    assert.equal(r.signal, name, JSON.stringify(r));
    assert.match(r.out, /closed/);
  }
});

test('a program with a handler of its own for signals has them to itself', async () => {
  const r = await run(`${head} process.on('SIGINT', () => { console.log('mine'); process.exit(0) }); const c = new Consumer('s', 'g', () => console.log('handled'));`, {
    fakes: { records: 1 },
    during: async (child, says) => {
      await says('handled');
      child.kill('SIGINT');
    },
  });
  assert.equal(r.code, 0, JSON.stringify(r));
});

test('worker threads have an engine each', async () => {
  const r = await run(`
    const { Worker } = require('node:worker_threads');
    const text = "const { Producer } = require('./index.js'); const p = new Producer('s'); p.send('k', 'x').then(() => p.stats()).then((s) => console.log(s.pid))";
    eval(text);
    for (let i = 0; i < 2; i++) new Worker(text, { eval: true });`);
  assert.equal(r.code, 0, r.err);
  assert.equal(new Set(r.out.trim().split('\n')).size, 3, r.out);
});

test('a worker thread that ends sends what it has', async () => {
  const r = await run(`
    const { Worker } = require('node:worker_threads');
    new Worker("const { Producer } = require('./index.js'); const p = new Producer('s'); p.send('k', 'hang'); p.send('k', 'fail')", { eval: true });`);
  assert.equal(r.code, 0, r.err);
  assert.match(r.err, /1 records sent to "s" failed/);
  assert.doesNotMatch(r.err, /not known/);
});

test('engines that are none: a clear error', async () => {
  const fs = require('node:fs');
  const os = require('node:os');
  const path = require('node:path');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'vegas-js-'));
  const text = path.join(dir, 'text');
  fs.writeFileSync(text, 'no program');
  const bad = path.join(dir, 'bad');
  fs.writeFileSync(bad, '\x7fELF garbage', { mode: 0o755 });
  for (const [env, want] of [
    [{ VEGAS_ENGINE: '/nowhere/engine' }, /engine_missing .*ENOENT.*VEGAS_ENGINE/],
    [{ VEGAS_ENGINE: text }, /engine_missing .*EACCES.*chmod/],
    [{ VEGAS_ENGINE: bad }, /engine_missing .*no vegas engine.*for this platform/],
    [{ VEGAS_ENGINE: '/bin/true' }, /engine_missing .*no vegas engine.*status 0/],
    [{ VEGAS_ENGINE: '' }, /engine_missing .*@libvegas\/[a-z0-9-]+, which brings the engine.*remove package-lock\.json and node_modules/],
    [{ FAKE: JSON.stringify({ hello: 'usage: some other program\n' }) }, /engine_missing .*no vegas engine/],
    [{ FAKE: JSON.stringify({ protocol: 2 }) }, /version .*speaks protocol 2/],
  ]) {
    const r = await run(`${head} (async () => { try { const p = new Producer('s'); await p.send('k', 'x'); } catch (e) { console.log(e.code, e.message) } })()`, { env });
    assert.match(r.out, want, JSON.stringify({ env, r }));
    assert.equal(r.code, 0);
  }
  fs.rmSync(dir, { recursive: true });
});

test('an engine that keeps dying is given up', async () => {
  const r = await run(`${head} require('.').setLogger({});
    (async () => { const p = new Producer('s'); const codes = [];
      for (let i = 0; i < 6; i++) await p.send('k', 'die').catch((e) => codes.push(e.code + ' ' + e.unknown + ' ' + /5 times within a minute/.test(e.message)));
      console.log(codes.join('\\n')) })()`);
  assert.deepStrictEqual(r.out.trim().split('\n').slice(-2), ['engine_gone true true', 'engine_gone false true'], JSON.stringify(r));
});

test('ES modules', async () => {
  const r = await run("import vegas, { Producer } from 'libvegas'; import { LocalKinesis } from 'libvegas/testing'; const p = new Producer('s'); console.log((await p.send('k', 'x')).shard, vegas.Producer === Producer, typeof LocalKinesis)", { esm: true });
  assert.equal(r.out, 'shardId-000000000000 true function\n', r.err);
});
