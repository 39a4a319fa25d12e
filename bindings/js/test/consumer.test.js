'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { run } = require('./program.js');

// Each program has an engine of its own with that many records; it prints JSON.
async function program(records, text, fakes = {}) {
  const r = await run(`
    const { Consumer, setLogger } = require('.');
    setLogger({});
    (async () => { const out = await (async () => { ${text} })(); console.log(JSON.stringify(out)); })();
  `, { fakes: { records, ...fakes } });
  assert.equal(r.code, 0, r.err);
  return JSON.parse(r.out);
}

test('a handler gets what records have', async () => {
  const r = await program(3, `
    const got = [];
    const c = new Consumer('orders', 'billing', (r, shard) => got.push({ ...r, data: String(r.data), text: r.text, h: [...r.headers], header: r.headers.get('h'), none: r.headers.get('x') ?? null, possession: shard.possession, stopping: shard.stopping }));
    await c.wait();
    return got;`);
  assert.deepStrictEqual(r[1], {
    partitionKey: 'key-1', data: 'data-1', text: 'data-1', explicitHashKey: '', stream: 's', shard: 'shardId-000000000000', sequence: '101',
    subSequence: 1, arrivalTime: '2023-11-14T22:13:20.000Z', aggregated: true, attempt: 1, h: [['h', 'v']], header: 'v', none: null, possession: 7, stopping: null,
  });
  assert.equal(r.length, 3);
});

test('sync and async handlers, one by one and side by side, keep the order of keys', async () => {
  for (const options of ['{}', '{ parallel: 4 }', '{ batch: true }']) {
    for (const wait of ['', 'await null;', 'await new Promise((r) => setTimeout(r, Math.random() * 3));']) {
      const r = await program(100, `
        const got = []; let running = 0, most = 0;
        const c = new Consumer('orders', 'billing', ${wait ? 'async' : ''} (rs) => {
          for (const r of [rs].flat()) got.push(r.text);
          most = Math.max(most, ++running); ${wait} running--;
        }, ${options});
        await c.wait();
        return { got, most };`, { chunk: 30 });
      assert.equal(r.got.length, 100);
      for (let k = 0; k < 3; k++) {
        const ns = r.got.map((d) => +d.slice(5)).filter((n) => n % 3 === k);
        assert.deepStrictEqual(ns, [...ns].sort((a, b) => a - b));
      }
      // There are three keys.
      assert.ok(options.includes('parallel') && wait.includes('Timeout') ? r.most === 3 : r.most <= 3, `${options} ${wait}: ${r.most}`);
    }
  }
});

test('what a handler throws comes to the engine with its stack, and the record again', async () => {
  for (const options of ['{ maxAttempts: 3, deadLetter }', '{ maxAttempts: 3, deadLetter, parallel: 3 }']) {
    const r = await program(9, `
      const got = [], dead = [];
      const deadLetter = (r, e) => dead.push([r.text, r.attempt, e.code, e.message.includes('function chargeCard') || e.message.includes('chargeCard (')]);
      const c = new Consumer('orders', 'billing', async function chargeCard(r) {
        got.push(r.text + '/' + r.attempt);
        if (r.text === 'data-4') throw new Error('declined');
      }, ${options});
      await c.wait();
      return { got, dead };`);
    assert.deepStrictEqual(r.dead, [['data-4', 3, 'handler', true]], JSON.stringify(r));
    assert.deepStrictEqual(r.got.filter((g) => g.startsWith('data-4')), ['data-4/1', 'data-4/2', 'data-4/3']);
    for (let i = 0; i < 9; i++) if (i !== 4) assert.equal(r.got.filter((g) => g === `data-${i}/1`).length, 1, r.got.join());
    const after = r.got.indexOf('data-7/1');
    assert.ok(after > r.got.indexOf('data-4/3'), `data-7 has the key of data-4: ${r.got}`);
  }
});

test('a batch handler that throws has the whole batch again', async () => {
  const r = await program(4, `
    const got = [];
    const c = new Consumer('orders', 'billing', (rs) => { got.push(rs.map((r) => r.text).join()); if (got.length === 1) throw new Error('later'); }, { batch: true });
    await c.wait();
    return got;`);
  assert.equal(r.length, 2);
  assert.ok(r[1].startsWith('data-0'));
});

test('for await: a record is done with when the loop comes for the next one', async () => {
  const r = await program(6, `
    const got = []; let s;
    const c = new Consumer('orders', 'billing');
    for await (const r of c) { got.push(r.text); if (got.length === 5) { s = await c.stats(); } }
    return { got, settled: s.settled };`, { chunk: 2 });
  assert.equal(r.got.length, 6);
  assert.deepStrictEqual(r.settled.slice(1), [{ last: true, ranges: [[0, 2]], failures: [] }, { last: true, ranges: [[0, 2]], failures: [] }]);
});

test('for await: break closes the consumer, and its record is not done with', async () => {
  const r = await program(6, `
    const got = [];
    const c = new Consumer('orders', 'billing', { parallel: 2 });
    const watch = new (require('.').Producer)('s');
    for await (const r of c) { got.push(r.text); if (got.length === 3) break; }
    await c.wait();
    const s = await watch.stats();
    await watch.close();
    return { got, settled: s.settled };`);
  assert.equal(r.got.length, 3);
  const done = r.settled.slice(1).flatMap((s) => s.ranges).reduce((n, [a, b]) => n + b - a, 0);
  assert.equal(done, 2);
});

test('what ends a consumer is raised by wait and by the loop, and close only waits', async () => {
  const r = await program(1, `
    const c = new Consumer('orders', 'denied', () => {});
    const d = new Consumer('orders', 'denied');
    const out = [];
    await c.wait().catch((e) => out.push(e.code, e.remedy));
    try { for await (const r of d); } catch (e) { out.push(e.code); }
    await c.close().then(() => out.push('closed'));
    await c.wait().catch((e) => out.push(e.code));
    return out;`);
  assert.deepStrictEqual(r, ['access_denied', 'ask', 'access_denied', 'closed', 'access_denied']);
});

test('external: positions are the program\'s', async () => {
  const r = await program(1, `
    const c = new Consumer('orders', 'billing', () => {}, { external: async (shard) => ({ sequence: '9' + shard.possession, subSequence: 2 }) });
    const w = new (require('.').Producer)('s');
    await c.wait();
    const s = await w.stats();
    await w.close();
    return s.settled[0];`);
  assert.deepStrictEqual(r, { started: { sequence: '97', sub: 2 } });
});

test('an AbortSignal closes', async () => {
  const r = await program(50, `
    const a = new AbortController();
    let n = 0;
    const c = new Consumer('orders', 'billing', async () => { if (++n === 10) a.abort(); await new Promise((r) => setTimeout(r, 1)); }, { signal: a.signal });
    await c.wait();
    return n;`);
  assert.equal(r, 10);
});

test('a shard of the next engine waits for the handler that still runs', async () => {
  const r = await program(4, `
    const got = []; let running = 0, most = 0, aborted;
    const w = new (require('.').Producer)('s');
    const c = new Consumer('orders', 'billing', async (r, shard) => {
      most = Math.max(most, ++running);
      got.push(r.text);
      if (got.length === 2) {
        w.send('k', 'die').catch(() => {});
        await new Promise((r) => shard.signal.addEventListener('abort', r));
        aborted = [shard.stopping, shard.signal.reason.code, shard.signal.reason.text];
        await new Promise((r) => setTimeout(r, 400));
      }
      running--;
    });
    await c.wait();
    return { got, most, aborted };`);
  assert.deepStrictEqual(r, { got: ['data-0', 'data-1', 'data-0', 'data-1', 'data-2', 'data-3'], most: 1, aborted: ['engine_gone', 'engine_gone', 'shardId-000000000000: the engine that had the shard has ended: what the handler does is not checkpointed'] });
});
