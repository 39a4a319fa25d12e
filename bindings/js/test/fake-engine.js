#!/usr/bin/env node
'use strict';
// An engine of a hundred lines, which answers at once and does what the data of records
// says: for tests of what the real one does not do on demand, and for measuring what
// this package costs. FAKE is a JSON object:
//   window    window_bytes
//   hello     what to write instead of a hello
//   records   how many records each consumer gets in one shard
//   chunk     how many of them in a chunk
// Data: "fail" is not stored, "unknown" may be, "hang" has no report before a flush,
// "die" ends the engine.

const fs = require('node:fs');
const { KIND, METHOD } = require('../lib/spec.js');
const { Frames, decode, encode, frame, u32 } = require('../lib/wire.js');

const settings = JSON.parse(process.env.FAKE || '{}');
const sequence = Buffer.from('shardId-000000000000\x00' + '49'.repeat(28));
const settled = [];
let hung = [];

function write(b) {
  for (let at = 0; at < b.length;) {
    try {
      at += fs.writeSync(1, b, at);
    } catch (e) {
      if (e.code !== 'EAGAIN') process.exit(1);
    }
  }
}

// report says one thing of many records.
function report(producer, status, text, numbers) {
  const b = Buffer.alloc(5 + 16 + text.length + numbers.length * 16);
  b.writeUInt32LE(b.length - 4, 0);
  b[4] = KIND.REPORT;
  b.writeUInt32LE(producer, 5);
  b.writeUInt32LE(1, 9);
  b[13] = status;
  b.writeUInt16LE(text.length, 15);
  b.writeUInt32LE(numbers.length, 17);
  b.set(text, 21);
  let at = 21 + text.length;
  for (const [i, n] of numbers.entries()) {
    b.writeUInt32LE(n % 2 ** 32, at);
    b.writeUInt32LE(Math.floor(n / 2 ** 32), at + 4);
    b.writeUInt32LE(i, at + 8);
    at += 16;
  }
  write(b);
}

function send(b, from) {
  const producer = u32(b, from);
  const first = Number(b.readBigUInt64LE(from + 4));
  const count = u32(b, from + 12);
  let row = from + 16;
  let at = row + count * 12;
  let good = [];
  for (let i = 0; i < count; i++, row += 12) {
    const data = u32(b, row);
    at += u32(b, row + 4) + b.readUInt16LE(row + 8) + b[row + 10] + data;
    const word = data < 8 ? b.latin1Slice(at - data, at) : '';
    if (word === 'die') process.kill(process.pid, 'SIGKILL');
    if (word === 'hang') hung.push([producer, first + i]);
    else if (word === 'fail' || word === 'unknown') {
      report(producer, word === 'fail' ? 2 : 3, encode({ code: 'throttled', text: `record ${first + i} was refused`, remedy: 'wait' }), [first + i]);
    } else good.push(first + i);
  }
  if (good.length > 0) report(producer, 0, sequence, good);
}

let calls = 0;
const asked = new Map();
function call(method, args) {
  return new Promise((resolve) => {
    asked.set(++calls, resolve);
    write(frame(KIND.CALL, { ...args, call: calls, method }));
  });
}

// A consumer's shard: records in chunks, failed ones again.
async function consume(consumer, options) {
  const r = await call(METHOD.START_SHARD, { consumer, shard: 1, id: 'shardId-000000000000', stream: 's', parents: [], possession: 7, sequence: '', sub: 0, takeovers: 0 });
  settled.push({ started: { sequence: r.sequence, sub: r.sub } });
  let todo = Array.from({ length: settings.records ?? 0 }, (_, i) => ({ n: i, attempt: 1 }));
  for (let chunk = 0; todo.length > 0; chunk++) {
    const now = todo.splice(0, settings.chunk ?? 100);
    deliver(consumer, chunk, now, false, '');
    const s = await new Promise((resolve) => { waiting = resolve; });
    let again = [];
    for (let i = 0; i < now.length; i++) {
      const failed = s.failures.find((f) => f.index === i);
      if (failed && options.dead_letter && now[i].attempt >= (options.max_attempts || 5)) {
        deliver(consumer, ++chunk, [now[i]], true, failed.text);
        await new Promise((resolve) => { waiting = resolve; });
      } else if (failed) again.push({ n: now[i].n, attempt: now[i].attempt + 1 });
      else if (!s.done.has(i)) again.push(now[i]);
    }
    if (stopped) return;
    todo = [...again, ...todo];
  }
  await call(METHOD.END_SHARD, { consumer, shard: 1, why: 'shard_end' });
  write(frame(KIND.EVENT, { event: 'consumer_ended', consumer }));
}
let waiting = null;
let stopped = false;
let done = new Set();

function deliver(consumer, chunk, records, dead, text) {
  const rows = [];
  const bytes = [];
  done = new Set();
  records.forEach((r, i) => {
    const key = Buffer.from(`key-${r.n % 3}`);
    const seq = Buffer.from(String(100 + r.n));
    const data = Buffer.from(`data-${r.n}`);
    const headers = Buffer.concat([Buffer.from([1, 0, 1, 0, 1, 0, 0, 0]), Buffer.from('hv')]);
    const row = Buffer.alloc(32);
    row.writeUInt32LE(data.length, 0);
    row.writeUInt32LE(headers.length, 4);
    row.writeUInt16LE(key.length, 8);
    row[10] = 0;
    row[11] = seq.length;
    row[12] = 1;
    row.writeUInt16LE(r.attempt, 14);
    row.writeBigInt64LE(BigInt(i), 16);
    row.writeBigInt64LE(1700000000000n, 24);
    rows.push(row);
    bytes.push(key, seq, headers, data);
  });
  const t = Buffer.from(text);
  const body = Buffer.concat([Buffer.alloc(30), t, ...rows, ...bytes]);
  body.writeUInt32LE(body.length - 4, 0);
  body[4] = KIND.DELIVER;
  body.writeUInt32LE(consumer, 5);
  body.writeUInt32LE(1, 9);
  body.writeUInt32LE(chunk, 13);
  body[21] = dead ? 1 : 0;
  body.writeUInt32LE(records.length, 22);
  body.writeUInt32LE(t.length, 26);
  write(body);
}

function settle(b, from) {
  const last = b[from + 12] === 1;
  const ranges = u32(b, from + 13);
  const failures = u32(b, from + 17);
  let at = from + 21;
  const s = { last, ranges: [], failures: [] };
  for (let i = 0; i < ranges; i++, at += 8) {
    s.ranges.push([u32(b, at), u32(b, at + 4)]);
    for (let k = u32(b, at); k < u32(b, at + 4); k++) done.add(k);
  }
  for (let i = 0; i < failures; i++) {
    const n = u32(b, at + 4);
    s.failures.push({ index: u32(b, at), text: b.utf8Slice(at + 8, at + 8 + n) });
    at += 8 + n;
  }
  settled.push(s);
  if (last) waiting({ ...s, done });
}

function called(c) {
  switch (c.method) {
    case METHOD.OPEN_PRODUCER:
      return { window_bytes: settings.window ?? 64 << 20, record_cost: 384 };
    case METHOD.OPEN_CONSUMER:
      if (c.group === 'denied') return { error: { code: 'access_denied', text: 'no', remedy: 'ask' } };
      setImmediate(consume, c.consumer, c.options);
      return { worker: 'w' };
    case METHOD.FLUSH: case METHOD.CLOSE_PRODUCER: {
      if (c.timeout === 0) return { left: hung.length };
      for (const [producer, n] of hung) report(producer, 0, sequence, [n]);
      hung = [];
      return { left: 0 };
    }
    case METHOD.STATS: return { stats: { settled, options: settings, pid: process.pid } };
    case METHOD.CLOSE_CONSUMER: {
      stopped = true;
      const stop = Buffer.alloc(14);
      stop.writeUInt32LE(10, 0);
      stop[4] = KIND.STOP;
      stop.writeUInt32LE(c.consumer, 5);
      stop.writeUInt32LE(1, 9);
      stop[13] = 1;
      write(stop);
      return {};
    }
    default: return {};
  }
}

const frames = new Frames((kind, b, from, to) => {
  switch (kind) {
    case KIND.HELLO:
      settings.log = decode(b, from, to).log;
      if (settings.hello !== undefined) return write(Buffer.from(settings.hello));
      return write(frame(KIND.HELLO, { protocol: settings.protocol ?? 1, version: 'fake', pid: process.pid, capabilities: [], extensions: [] }));
    case KIND.SEND: return send(b, from);
    case KIND.SETTLE: return settle(b, from);
    case KIND.CALL: {
      const c = decode(b, from, to);
      return write(frame(KIND.ANSWER, { ...called(c), call: c.call }));
    }
    case KIND.ANSWER: {
      const a = decode(b, from, to);
      return asked.get(a.call)(a);
    }
    default:
  }
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
process.stdin.on('data', (b) => frames.take(b));
process.stdin.on('end', () => process.exit(0));
