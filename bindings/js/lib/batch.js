'use strict';
// Records on their way to the engine: rows and bytes as the protocol wants them,
// written once, by send itself.

const spec = require('./spec.js');
const { failure } = require('./errors.js');
const wire = require('./wire.js');

const rowBytes = 12;
const rowsMost = 2048;
const bytesMost = 256 << 10;
const headBytes = 21;
const recordMost = spec.FRAME_BYTES - headBytes - rowBytes;
const unpaired = /[\ud800-\udfff]/u;

const pool = [];
const poolMost = 8;

class Batch {
  constructor(size) {
    this.rows = Buffer.allocUnsafeSlow(size > bytesMost ? rowBytes : rowsMost * rowBytes);
    this.bytes = Buffer.allocUnsafeSlow(Math.max(size, bytesMost));
    this.reset();
  }

  static get(size) {
    return size <= bytesMost && pool.length > 0 ? pool.pop() : new Batch(size);
  }

  reset() {
    this.count = 0;
    this.used = 0;
    this.gone = 0; // rows that were taken
    this.goneBytes = 0;
  }

  // free gives the buffers back, once the pipe has them.
  free() {
    if (this.bytes.length !== bytesMost || pool.length >= poolMost) return;
    this.reset();
    pool.push(this);
  }

  hasRoom(size) {
    return this.used + size <= this.bytes.length && (this.count + 1) * rowBytes <= this.rows.length;
  }

  // add appends a record and returns its bytes. There is room for it.
  add(key, hash, headers, data, dataBytes) {
    const b = this.bytes;
    const start = this.used;
    let at = start + putText(b, start, key);
    const keyBytes = at - start;
    if (hash !== '') at += b.write(hash, at, 'latin1');
    let headersBytes = 0;
    if (headers !== null) {
      headersBytes = headers.length;
      b.set(headers, at);
      at += headersBytes;
    }
    if (typeof data === 'string') b.write(data, at);
    else b.set(data, at);
    at += dataBytes;
    this.used = at;
    const r = this.rows;
    let i = this.count++ * rowBytes;
    r[i] = dataBytes;
    r[i + 1] = dataBytes >>> 8;
    r[i + 2] = dataBytes >>> 16;
    r[i + 3] = dataBytes >>> 24;
    r[i += 4] = headersBytes;
    r[i + 1] = headersBytes >>> 8;
    r[i + 2] = headersBytes >>> 16;
    r[i + 3] = headersBytes >>> 24;
    r[i += 4] = keyBytes;
    r[i + 1] = keyBytes >>> 8;
    r[i + 2] = hash.length;
    r[i + 3] = 0;
    return at - start;
  }

  // rest is what the rows that were not taken yet cost.
  rest(recordCost) {
    return this.used - this.goneBytes + (this.count - this.gone) * recordCost;
  }

  // fit is how many more rows cost no more than room.
  fit(room, recordCost) {
    let n = 0;
    for (let i = this.gone * rowBytes; i < this.count * rowBytes; i += rowBytes, n++) {
      room -= rowLength(this.rows, i) + recordCost;
      if (room < 0) break;
    }
    return n;
  }

  // take puts the frame of the next n rows into a session; the first one has that
  // number. It returns their bytes.
  take(session, producer, first, n) {
    const from = this.gone;
    const to = from + n;
    let end = this.used;
    if (to < this.count) {
      end = this.goneBytes;
      for (let i = from; i < to; i++) end += rowLength(this.rows, i * rowBytes);
    }
    const size = headBytes + n * rowBytes + end - this.goneBytes;
    const head = Buffer.allocUnsafe(headBytes);
    head.writeUInt32LE(size - 4, 0);
    head[4] = spec.KIND.SEND;
    head.writeUInt32LE(producer, 5);
    head.writeBigUInt64LE(BigInt(first), 9);
    head.writeUInt32LE(n, 17);
    session.write(head);
    session.write(this.rows.subarray(from * rowBytes, to * rowBytes));
    session.write(this.bytes.subarray(this.goneBytes, end), to === this.count ? () => this.free() : null);
    const bytes = end - this.goneBytes;
    this.gone = to;
    this.goneBytes = end;
    return bytes;
  }
}

function rowLength(r, i) {
  return wire.u32(r, i) + wire.u32(r, i + 4) + (r[i + 8] | (r[i + 9] << 8)) + r[i + 10];
}

// putText writes UTF-8 and returns its bytes; by hand where that is quicker.
function putText(b, at, s) {
  const n = s.length;
  if (n > 48) return b.write(s, at);
  for (let i = 0; i < n; i++) {
    const c = s.charCodeAt(i);
    if (c > 127) return b.write(s, at);
    b[at + i] = c;
  }
  return n;
}

// The checks of what a program gives to send.

function checkKey(key) {
  if (typeof key !== 'string') throw failure('bad_option', `the partition key is a ${typeof key}`, { remedy: 'give a text' });
  if (key.length > spec.KEY_BYTES) throw failure('bad_option', `the partition key has ${key.length} characters, ${spec.KEY_CHARACTERS} are the most`);
  for (let i = 0; i < key.length; i++) {
    if (key.charCodeAt(i) > 127) return checkWide(key);
  }
  return key.length;
}

function checkWide(key) {
  if (unpaired.test(key)) {
    throw failure('bad_option', 'the partition key is no valid Unicode text: it has half of a surrogate pair', { remedy: 'encode binary keys, as hex or base64' });
  }
  const n = Buffer.byteLength(key);
  if (n > spec.KEY_BYTES) throw failure('bad_option', `the partition key takes ${n} bytes, ${spec.KEY_BYTES} are the most`);
  return n;
}

function checkData(data) {
  if (data instanceof Uint8Array || typeof data === 'string') return data;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw failure('bad_option', `the data is ${data === null ? 'null' : `a ${typeof data}`}`, { remedy: 'give a Buffer, a Uint8Array or a text (sent as UTF-8)' });
}

function checkHash(hash) {
  if (hash === undefined || hash === null || hash === '') return '';
  const s = typeof hash === 'bigint' ? String(hash) : hash;
  if (typeof s !== 'string' || !/^[0-9]{1,39}$/.test(s)) {
    throw failure('bad_option', 'the explicit hash key is no decimal number from 0 to 2^128-1', { remedy: 'give a bigint or a text of digits' });
  }
  return s;
}

module.exports = { Batch, recordMost, checkKey, checkData, checkHash };
