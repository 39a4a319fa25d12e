'use strict';
// The bytes of the protocol (bindings/PROTOCOL.md): frames, values, and the
// rows of records. What comes in is checked before anything is allocated for it.

const spec = require('./spec.js');
const { failure } = require('./errors.js');

const broken = (what) => failure('protocol', `the engine sent what the protocol does not allow: ${what}`, {
  remedy: 'Check that VEGAS_ENGINE names a vegas engine; if it does, report this.',
});

// --- values

const tag = { nothing: 0, no: 1, yes: 2, whole: 3, real: 4, text: 5, bytes: 6, list: 7, map: 8 };

// encode returns the bytes of a value, behind `before` bytes left free.
function encode(value, before = 0) {
  const w = { buf: Buffer.allocUnsafe(before + 256), at: before };
  put(w, value, 0);
  return w.buf.subarray(0, w.at);
}

function room(w, n) {
  if (w.at + n <= w.buf.length) return;
  const grown = Buffer.allocUnsafe(Math.max(w.buf.length * 2, w.at + n));
  w.buf.copy(grown, 0, 0, w.at);
  w.buf = grown;
}

function putByte(w, b) {
  room(w, 1);
  w.buf[w.at++] = b;
}

function putText(w, s) {
  const n = Buffer.byteLength(s);
  room(w, 4 + n);
  w.buf.writeUInt32LE(n, w.at);
  w.buf.write(s, w.at + 4);
  w.at += 4 + n;
}

function putCount(w, t, n) {
  room(w, 5);
  w.buf[w.at] = t;
  w.buf.writeUInt32LE(n, w.at + 1);
  w.at += 5;
}

function put(w, v, depth) {
  if (depth > spec.VALUE_DEPTH) throw failure('bad_option', 'a value nests too deep');
  switch (typeof v) {
    case 'undefined':
      return putByte(w, tag.nothing);
    case 'boolean':
      return putByte(w, v ? tag.yes : tag.no);
    case 'number':
    case 'bigint':
      room(w, 9);
      if (typeof v === 'bigint' || Number.isSafeInteger(v)) {
        w.buf[w.at] = tag.whole;
        w.buf.writeBigInt64LE(BigInt(v), w.at + 1);
      } else {
        w.buf[w.at] = tag.real;
        w.buf.writeDoubleLE(v, w.at + 1);
      }
      w.at += 9;
      return;
    case 'string':
      putByte(w, tag.text);
      return putText(w, v);
    case 'object':
      break;
    default:
      throw failure('bad_option', `a ${typeof v} cannot be sent to the engine`);
  }
  if (v === null) return putByte(w, tag.nothing);
  if (v instanceof Uint8Array) {
    putCount(w, tag.bytes, v.length);
    room(w, v.length);
    w.buf.set(v, w.at);
    w.at += v.length;
    return;
  }
  if (Array.isArray(v)) {
    putCount(w, tag.list, v.length);
    for (const x of v) put(w, x, depth + 1);
    return;
  }
  const keys = Object.keys(v).filter((k) => v[k] !== undefined);
  putCount(w, tag.map, keys.length);
  for (const k of keys) {
    putText(w, k);
    put(w, v[k], depth + 1);
  }
}

// decode reads the one value that a body is. Whole numbers beyond 2^53 are bigints.
function decode(buf, from = 0, to = buf.length) {
  if (to - from > spec.VALUE_BYTES) throw broken(`a value of ${to - from} bytes`);
  const r = { buf, at: from, to };
  const v = get(r, 0);
  if (r.at !== to) throw broken('bytes behind a value');
  return v;
}

function need(r, n) {
  if (n > r.to - r.at) throw broken('a length that does not fit into its frame');
}

function getText(r) {
  need(r, 4);
  const n = r.buf.readUInt32LE(r.at);
  r.at += 4;
  need(r, n);
  r.at += n;
  return r.buf.utf8Slice(r.at - n, r.at);
}

function getCount(r, least) {
  need(r, 4);
  const n = r.buf.readUInt32LE(r.at);
  r.at += 4;
  need(r, n * least);
  return n;
}

function get(r, depth) {
  if (depth > spec.VALUE_DEPTH) throw broken('a value that nests too deep');
  need(r, 1);
  const t = r.buf[r.at++];
  switch (t) {
    case tag.nothing: return null;
    case tag.no: return false;
    case tag.yes: return true;
    case tag.whole: {
      need(r, 8);
      const n = r.buf.readBigInt64LE(r.at);
      r.at += 8;
      return n >= -9007199254740991n && n <= 9007199254740991n ? Number(n) : n;
    }
    case tag.real:
      need(r, 8);
      r.at += 8;
      return r.buf.readDoubleLE(r.at - 8);
    case tag.text: return getText(r);
    case tag.bytes: {
      const n = getCount(r, 1);
      r.at += n;
      return Buffer.from(r.buf.subarray(r.at - n, r.at));
    }
    case tag.list: {
      const n = getCount(r, 1);
      const list = [];
      for (let i = 0; i < n; i++) list.push(get(r, depth + 1));
      return list;
    }
    case tag.map: {
      const n = getCount(r, 5);
      const map = {};
      for (let i = 0; i < n; i++) {
        const k = getText(r);
        if (Object.hasOwn(map, k)) throw broken(`a map with the key ${JSON.stringify(k)} twice`);
        const v = get(r, depth + 1);
        if (k === '__proto__') Object.defineProperty(map, k, { value: v, enumerable: true });
        else map[k] = v;
      }
      return map;
    }
    default: throw broken(`a value with the tag ${t}`);
  }
}

// --- frames

// frame returns the bytes of a frame whose body is a value.
function frame(kind, value) {
  const b = encode(value, 5);
  b.writeUInt32LE(b.length - 4, 0);
  b[4] = kind;
  if (b.length - 5 > spec.VALUE_BYTES) throw failure('bad_option', `arguments take ${b.length} bytes, ${spec.VALUE_BYTES} are the most`);
  return b;
}

// Frames takes the bytes of a stream apart. each is called with (kind, buffer,
// from, to) for every frame; the buffer is not used again.
class Frames {
  constructor(each) {
    this.each = each;
    this.parts = []; // of a frame that is not complete yet
    this.have = 0;
    this.want = 5;
  }

  take(bytes) {
    if (this.have > 0) {
      this.parts.push(bytes);
      this.have += bytes.length;
      if (this.have < this.want) return;
      bytes = Buffer.concat(this.parts, this.have);
      this.parts = [];
      this.have = 0;
      this.want = 5;
    }
    let at = 0;
    while (bytes.length - at >= 5) {
      const size = bytes.readUInt32LE(at);
      if (size < 1 || size > spec.FRAME_BYTES) throw broken(`a frame of ${size} bytes`);
      const end = at + 4 + size;
      if (end > bytes.length) {
        this.want = 4 + size;
        break;
      }
      this.each(bytes[at + 4], bytes, at + 5, end);
      at = end;
    }
    if (at < bytes.length) {
      this.parts.push(at === 0 ? bytes : bytes.subarray(at));
      this.have = bytes.length - at;
    }
  }
}

// --- headers of a record

// encodeHeaders takes an object, a Map or pairs; values are texts or bytes.
function encodeHeaders(headers) {
  const pairs = typeof headers[Symbol.iterator] === 'function' ? [...headers] : Object.entries(headers);
  if (pairs.length === 0) return null;
  if (pairs.length > 0xffff) throw failure('bad_option', `a record has ${pairs.length} headers, 65535 are the most`);
  const parts = [];
  const head = Buffer.allocUnsafe(2);
  head.writeUInt16LE(pairs.length);
  parts.push(head);
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') {
      throw failure('bad_option', 'headers are an object, a Map or a list of [name, value]');
    }
    const name = Buffer.from(pair[0]);
    const value = typeof pair[1] === 'string' ? Buffer.from(pair[1]) : pair[1];
    if (!(value instanceof Uint8Array)) {
      throw failure('bad_option', `the header ${JSON.stringify(pair[0])} is a ${typeof value}, not a text or bytes`);
    }
    if (name.length > 0xffff) throw failure('bad_option', 'the name of a header is longer than 65535 bytes');
    const lengths = Buffer.allocUnsafe(6);
    lengths.writeUInt16LE(name.length, 0);
    lengths.writeUInt32LE(value.length, 2);
    parts.push(lengths, name, value);
  }
  return Buffer.concat(parts);
}

// decodeHeaders returns [name, Buffer] pairs.
function decodeHeaders(b) {
  if (b.length === 0) return [];
  if (b.length < 2) throw broken('headers that are cut off');
  const n = b.readUInt16LE(0);
  const pairs = [];
  let at = 2;
  for (let i = 0; i < n; i++) {
    if (b.length - at < 6) throw broken('headers that are cut off');
    const k = b.readUInt16LE(at);
    const v = b.readUInt32LE(at + 2);
    at += 6;
    if (k + v > b.length - at) throw broken('headers that are cut off');
    pairs.push([b.utf8Slice(at, at + k), b.subarray(at + k, at + k + v)]);
    at += k + v;
  }
  if (at !== b.length) throw broken('bytes behind headers');
  return pairs;
}

// --- reports

// reports calls each(number, sub) for every record of every group of a report
// frame, between group(status, text buffer, from, to) calls.
function reports(b, from, to, group, each) {
  if (to - from < 8) throw broken('a report that is cut off');
  const groups = b.readUInt32LE(from + 4);
  let at = from + 8;
  for (let g = 0; g < groups; g++) {
    if (to - at < 8) throw broken('a report that is cut off');
    const status = b[at];
    const text = b.readUInt16LE(at + 2);
    const count = b.readUInt32LE(at + 4);
    at += 8;
    if (text + count * 16 > to - at) throw broken('a report that is cut off');
    group(status, b, at, at + text);
    at += text;
    for (let i = 0; i < count; i++, at += 16) {
      each(u32(b, at) + u32(b, at + 4) * 4294967296, u32(b, at + 8) + i32(b, at + 12) * 4294967296);
    }
  }
  if (at !== to) throw broken('bytes behind a report');
}

const u32 = (b, at) => (b[at] | (b[at + 1] << 8) | (b[at + 2] << 16) | (b[at + 3] << 24)) >>> 0;
const i32 = (b, at) => b[at] | (b[at + 1] << 8) | (b[at + 2] << 16) | (b[at + 3] << 24);
const i64 = (b, at) => u32(b, at) + i32(b, at + 4) * 4294967296;

// --- settling

const textMost = 32 << 10; // bytes of one failure's text
const textsMost = 8 << 20; // and of all in a frame

// settle returns a settle frame. ranges are flat: from, to, from, to.
function settle(consumer, shard, chunk, last, ranges, failures) {
  const most = Math.min(textMost, Math.floor(textsMost / failures.length));
  const texts = failures.map((f) => cut(Buffer.from(f.text), most));
  const b = Buffer.allocUnsafe(5 + 21 + ranges.length * 4 + texts.reduce((n, t) => n + 8 + t.length, 0));
  b.writeUInt32LE(b.length - 4, 0);
  b[4] = spec.KIND.SETTLE;
  b.writeUInt32LE(consumer, 5);
  b.writeUInt32LE(shard, 9);
  b.writeUInt32LE(chunk, 13);
  b[17] = last ? 1 : 0;
  b.writeUInt32LE(ranges.length / 2, 18);
  b.writeUInt32LE(failures.length, 22);
  let at = 26;
  for (const n of ranges) at = b.writeUInt32LE(n, at);
  failures.forEach((f, i) => {
    b.writeUInt32LE(f.index, at);
    b.writeUInt32LE(texts[i].length, at + 4);
    at += 8;
    b.set(texts[i], at);
    at += texts[i].length;
  });
  return b;
}

// cut ends a text after that many bytes at most, and not within a character.
function cut(text, most) {
  if (text.length <= most) return text;
  while (most > 0 && (text[most] & 0xc0) === 0x80) most--;
  return text.subarray(0, most);
}

module.exports = { encode, decode, frame, Frames, encodeHeaders, decodeHeaders, reports, settle, broken, u32, i64 };
