'use strict';
// Record is one that was received, Headers what travelled beside it.

const wire = require('./wire.js');

class Record {
  #headers;
  #bytes;
  #shard;

  constructor(shard, bytes) {
    this.#shard = shard;
    this.#bytes = bytes;
    this.partitionKey = '';
    this.data = undefined;
    this.explicitHashKey = '';
    this.stream = shard.stream;
    this.shard = shard.id;
    this.sequence = '';
    this.subSequence = 0;
    this.arrivalTime = undefined;
    this.aggregated = false;
    this.attempt = 1;
  }

  get headers() {
    if (this.#headers === undefined) {
      this.#headers = new Headers(wire.decodeHeaders(this.#bytes));
      this.#bytes = undefined;
    }
    return this.#headers;
  }

  // text is the data as UTF-8.
  get text() {
    return this.data.toString();
  }

  // from is the shard, as this consumer has it.
  static from(record) {
    return #shard in record ? record.#shard : undefined;
  }
}

// Headers are pairs in their order, and a mapping whose first value of a name counts.
class Headers {
  #pairs;

  constructor(pairs) {
    this.#pairs = pairs;
  }

  get size() {
    return this.#pairs.length;
  }

  // get is the value of the first header of that name, as text; undefined: none.
  get(name) {
    return this.bytes(name)?.toString();
  }

  // bytes is the same as a Buffer.
  bytes(name) {
    return this.#pairs.find(([k]) => k === name)?.[1];
  }

  getAll(name) {
    return this.#pairs.filter(([k]) => k === name).map(([, v]) => v.toString());
  }

  has(name) {
    return this.#pairs.some(([k]) => k === name);
  }

  keys() {
    return this.#pairs.map(([k]) => k)[Symbol.iterator]();
  }

  values() {
    return this.#pairs.map(([, v]) => v.toString())[Symbol.iterator]();
  }

  entries() {
    return this.#pairs.map(([k, v]) => [k, v.toString()])[Symbol.iterator]();
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toJSON() {
    return Object.fromEntries([...this.entries()].reverse());
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return new Map([...this.entries()].reverse());
  }
}

const rowBytes = 32;
const headBytes = 25;

// Chunk is a run of records of one shard, taken apart one by one.
class Chunk {
  #b;
  #row;
  #at;
  #shard;
  #sequence = '';

  constructor(b, from, to) {
    if (to - from < headBytes) throw wire.broken('a chunk that is cut off');
    this.consumer = wire.u32(b, from);
    this.shard = wire.u32(b, from + 4);
    this.number = wire.u32(b, from + 8);
    this.behind = wire.u32(b, from + 12);
    this.dead = (b[from + 16] & 1) !== 0;
    this.count = wire.u32(b, from + 17);
    const text = wire.u32(b, from + 21);
    const rows = from + headBytes + text;
    if (this.count < 1 || text + this.count * rowBytes > to - from - headBytes) throw wire.broken('a chunk that is cut off');
    this.text = b.utf8Slice(from + headBytes, rows);
    this.#b = b;
    this.#row = rows;
    this.#at = rows + this.count * rowBytes;
    let end = this.#at;
    for (let i = rows; i < this.#at; i += rowBytes) {
      end += wire.u32(b, i) + wire.u32(b, i + 4) + (b[i + 8] | (b[i + 9] << 8)) + b[i + 10] + b[i + 11];
    }
    if (end !== to) throw wire.broken('a chunk whose rows are not its bytes');
    if (b[rows + 11] === 0) throw wire.broken('a chunk without a sequence number');
    this.index = 0; // of the next record
  }

  of(shard) {
    this.#shard = shard;
  }

  // next takes the next record; there is one.
  next() {
    const b = this.#b;
    const i = this.#row;
    let at = this.#at;
    const data = wire.u32(b, i);
    const headers = wire.u32(b, i + 4);
    const key = b[i + 8] | (b[i + 9] << 8);
    const hash = b[i + 10];
    const sequence = b[i + 11];
    const head = at + key + hash + sequence;
    const r = new Record(this.#shard, headers === 0 ? empty : b.subarray(head, head + headers));
    r.partitionKey = b.utf8Slice(at, at += key);
    if (hash > 0) r.explicitHashKey = b.latin1Slice(at, at + hash);
    at += hash;
    if (sequence > 0) this.#sequence = b.latin1Slice(at, at + sequence);
    r.sequence = this.#sequence;
    r.data = b.subarray(head + headers, head + headers + data);
    r.aggregated = (b[i + 12] & 1) !== 0;
    r.attempt = b[i + 14] | (b[i + 15] << 8);
    r.subSequence = wire.i64(b, i + 16);
    r.arrivalTime = new Date(wire.i64(b, i + 24));
    this.#row += rowBytes;
    this.#at = head + headers + data;
    this.index++;
    return r;
  }
}

const empty = Buffer.alloc(0);

module.exports = { Record, Headers, Chunk };
