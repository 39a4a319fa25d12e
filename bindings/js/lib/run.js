'use strict';
// Run takes one chunk through the handler and says what is done with.

const { performance } = require('node:perf_hooks');
const wire = require('./wire.js');
const { failure, stackOf } = require('./errors.js');
const { Shard } = require('./shard.js');

// What a handler of our own returns for a record that it did not begin.
const notBegun = Symbol('not begun');

const turnMost = 10; // ms without a turn of the event loop
const lookEvery = 32; // records

class Run {
  constructor(consumer, shard, chunk) {
    this.consumer = consumer; // {number, handler, deadLetter, parallel, batch, closing()}
    this.shard = shard;
    this.chunk = chunk;
    this.done = new Uint8Array(chunk.count); // 1 done, 2 and said
    this.news = false;
    this.failures = [];
    this.turn = performance.now();
    this.taken = 0;
    chunk.of(shard);
  }

  async run() {
    const { chunk, consumer } = this;
    if (this.shard.stopping === null) {
      if (chunk.dead) await this.letter();
      else if (consumer.batch) await this.whole();
      else if (consumer.parallel > 1) await this.sideBySide();
      else await this.oneByOne();
    }
    this.say(true);
  }

  // say tells the engine what is done and was not said yet; last: nothing is running.
  say(last) {
    const session = Shard.session(this.shard);
    if (session.ended || (!last && !this.news)) return;
    this.news = false;
    const ranges = [];
    const { done } = this;
    for (let i = 0; i < done.length; i++) {
      if (done[i] !== 1) continue;
      const from = i;
      while (i < done.length && done[i] === 1) done[i++] = 2;
      ranges.push(from, i);
    }
    session.write(wire.settle(this.consumer.number, Shard.number(this.shard), this.chunk.number, last, ranges, last ? this.failures : []));
  }

  finish(index) {
    this.done[index] = 1;
    this.news = true;
  }

  fail(index, error) {
    this.failures.push({ index, text: stackOf(error) });
  }

  // busy says that the event loop should have a turn.
  busy() {
    return ++this.taken % lookEvery === 0 && performance.now() - this.turn > turnMost;
  }

  async breathe() {
    await new Promise(setImmediate);
    this.turn = performance.now();
  }

  async oneByOne() {
    const { chunk, shard } = this;
    const { handler } = this.consumer;
    while (chunk.index < chunk.count && shard.stopping === null) {
      const i = chunk.index;
      try {
        const p = handler(chunk.next(), shard);
        // () => consumer.close() would wait for itself.
        if (waits(p) && p !== this.consumer.closing() && await p === notBegun) return;
      } catch (error) {
        return this.fail(i, error);
      }
      this.finish(i);
      if (this.busy()) await this.breathe();
    }
  }

  // Those of a key one after the other; behind one that failed none of its key.
  async sideBySide() {
    const { chunk, shard } = this;
    const { handler, parallel } = this.consumer;
    const keys = new Map(); // key → what waits behind the one that runs, null: it failed
    const freed = []; // [index, record], the next of their keys
    let running = 0;
    let wake = null;

    const ended = (key, i, error, ok) => {
      if (ok) this.finish(i);
      else if (error !== notBegun) this.fail(i, error);
      const behind = keys.get(key);
      if (!ok) keys.set(key, null);
      else if (behind.length > 0) freed.push(behind.shift());
      else keys.delete(key);
    };
    const begin = ([i, r]) => {
      let p;
      try {
        p = handler(r, shard);
      } catch (error) {
        return ended(r.partitionKey, i, error, false);
      }
      if (!waits(p) || p === this.consumer.closing()) return ended(r.partitionKey, i, null, true);
      running++;
      p.then((v) => ended(r.partitionKey, i, v, v !== notBegun), (e) => ended(r.partitionKey, i, e, false)).finally(() => {
        running--;
        wake?.();
      });
    };

    for (;;) {
      while (running < parallel && shard.stopping === null && (freed.length > 0 || chunk.index < chunk.count)) {
        let next = freed.shift();
        if (next === undefined) {
          const i = chunk.index;
          const r = chunk.next();
          const behind = keys.get(r.partitionKey);
          if (behind === undefined) keys.set(r.partitionKey, []);
          else {
            behind?.push([i, r]);
            continue;
          }
          next = [i, r];
        }
        begin(next);
        if (this.busy()) await this.breathe();
      }
      if (running === 0) return;
      await new Promise((resolve) => { wake = resolve; });
    }
  }

  async whole() {
    const { chunk, shard } = this;
    const records = [];
    while (chunk.index < chunk.count) records.push(chunk.next());
    try {
      if (await this.consumer.handler(records, shard) === notBegun) return;
    } catch (error) {
      return this.fail(0, error);
    }
    for (let i = 0; i < chunk.count; i++) this.finish(i);
  }

  async letter() {
    const record = this.chunk.next();
    try {
      await this.consumer.deadLetter(record, failure('handler', this.chunk.text), this.shard);
    } catch (error) {
      return this.fail(0, error);
    }
    this.finish(0);
  }
}

const waits = (p) => p !== undefined && p !== null && typeof p.then === 'function';

module.exports = { Run, notBegun };
