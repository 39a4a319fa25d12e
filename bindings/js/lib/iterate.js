'use strict';
// A consumer without a handler, as an asynchronous iterator. A record is done with when
// the loop comes for the next one.

const { notBegun } = require('./run.js');

class Iterator {
  #offers = []; // {record, shard, resolve}, of records or lists that wait for the loop
  #current = null;
  #wake = null;
  #returned = false;
  #consumer;

  // consumer has close() and ended(): null while it runs, {error} afterwards
  constructor(consumer) {
    this.#consumer = consumer;
  }

  // offer is the handler.
  offer = (record, shard) => new Promise((resolve) => {
    if (this.#returned) return resolve(notBegun);
    this.#offers.push({ record, shard, resolve });
    this.#wake?.();
  });

  // withdraw takes back what the loop did not take of a shard.
  withdraw(shard) {
    this.#offers = this.#offers.filter((o) => {
      if (o.shard === shard) o.resolve(notBegun);
      return o.shard !== shard;
    });
  }

  look() {
    this.#wake?.();
  }

  async next() {
    this.#current?.resolve();
    this.#current = null;
    for (;;) {
      if (this.#returned) return { value: undefined, done: true };
      const o = this.#offers.shift();
      if (o !== undefined) {
        this.#current = o;
        return { value: o.record, done: false };
      }
      const ended = this.#consumer.ended();
      if (ended !== null) {
        if (ended.error !== null) throw ended.error;
        return { value: undefined, done: true };
      }
      await new Promise((resolve) => { this.#wake = resolve; });
      this.#wake = null;
    }
  }

  // return: the loop was left, by break or by an error. Its record is not done with.
  async return(value) {
    this.#returned = true;
    this.#current?.resolve(notBegun);
    this.#current = null;
    for (const o of this.#offers.splice(0)) o.resolve(notBegun);
    await this.#consumer.close();
    return { value, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

module.exports = { Iterator };
