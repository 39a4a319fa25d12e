'use strict';
// Producer sends records to a stream.

const spec = require('./spec.js');
const wire = require('./wire.js');
const options = require('./options.js');
const exit = require('./exit.js');
const { Batch, recordMost, checkKey, checkData, checkHash } = require('./batch.js');
const { Engine } = require('./engine.js');
const { Open } = require('./open.js');
const { failure, fromWire } = require('./errors.js');
const { hold, release } = require('./hold.js');
const { log } = require('./log.js');
const { Sent, Failures } = require('./sent.js');
const { Waiters, first } = require('./waiters.js');

const { METHOD, STATUS } = spec;
const own = { signals: 'flag' };
const none = Object.freeze({});

const hostCost = 256; // what a record that waits here takes besides its bytes
const durable = Object.freeze({ shard: '', sequence: '', durable: true });

class Producer {
  #engine;
  #number;
  #wire;
  #options;
  #session = null; // where it is open
  #refusal = null; // why nothing more is accepted
  #closing = null;
  #ended = false;
  #window = 0;
  #recordCost = 0;
  #open = new Open();
  #next = 0; // the number of the next record
  #sent = 0; // those before it went to an engine
  #base = 0; // the number of the session's record 0
  #inFlight = 0; // what those that went there cost
  #queue = []; // batches, the last of which grows
  #waiting = 0; // bytes in there
  #ticking = false;
  #ready = null;
  #waiters = new Waiters();
  #failures;
  #status = 0; // of the group of a report that is being read
  #text = null;

  constructor(stream, given = {}) {
    const what = `producer of ${JSON.stringify(stream)}`;
    if (typeof stream !== 'string' || stream === '') throw failure('bad_option', `the stream is ${stream === '' ? 'empty' : `a ${typeof stream}`}`, { remedy: 'give its name or ARN' });
    const o = options.read(what, spec.PRODUCER_OPTIONS, own, given);
    this.stream = stream;
    this.#options = o.host;
    this.#wire = o.wire;
    if (o.host.onStats && !o.host.statsEvery) this.#wire.stats_every = 10e6;
    this.#failures = new Failures((count, error) => log('warn', `${count} records sent to ${JSON.stringify(stream)} failed, and nobody looked at it; the first: ${error.message}`, { stream }));
    this.#engine = Engine.of(o.host.engine);
    this.#number = this.#engine.join(this.#member);
    exit.add(this, o.host.signals !== false, {
      receives: false,
      open: () => this.#open.count > 0,
      count: () => this.#open.count,
      timeout: o.host.closeTimeout,
      say: () => this.#failures.sayNow(),
      close: () => this.close(),
      flush: async () => {
        await this.#drain(METHOD.FLUSH, o.host.closeTimeout);
        this.#failures.sayNow();
      },
      now: (until) => this.#now(until),
    });
  }

  // --- sending

  send(key, data, more = none) {
    const record = new Sent();
    try {
      this.#accept(record, key, data, more);
    } catch (error) {
      record.failed(error, this.#failures);
    }
    return record;
  }

  #accept(record, key, data, more) {
    if (this.#refusal !== null) throw this.#refusal;
    const keyBytes = checkKey(key);
    data = checkData(data);
    let hash = '';
    let headers = null;
    if (more !== none) {
      if (more === null || typeof more !== 'object') throw failure('bad_option', `the third argument of send is a ${typeof more}`, { remedy: 'give {headers, explicitHashKey}' });
      hash = checkHash(more.explicitHashKey);
      if (more.headers != null) headers = wire.encodeHeaders(more.headers);
    }
    const dataBytes = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
    const size = keyBytes + hash.length + dataBytes + (headers === null ? 0 : headers.length);
    if (size > recordMost) throw failure('too_large', `the record has ${size} bytes, which no stream takes`);
    if (this.#waiting > 0 && this.#waiting + size + hostCost > this.#options.bufferBytes) {
      throw failure('buffer_full', `${this.#waiting} bytes wait to be sent to ${JSON.stringify(this.stream)}`, {
        remedy: 'wait for room with await producer.ready() before you send more (see docs/troubleshooting.md#buffer-full)',
      });
    }
    let batch = this.#queue.length > 0 ? this.#queue[this.#queue.length - 1] : null;
    if (batch === null || !batch.hasRoom(size)) {
      if (batch !== null) this.pump(); // that one is complete
      batch = Batch.get(size);
      this.#queue.push(batch);
    }
    batch.add(key, hash, headers, data, dataBytes);
    this.#waiting += size + hostCost;
    record.number = size;
    this.#open.add(this.#next++, record);
    if (!this.#ticking) {
      this.#ticking = true;
      setImmediate(this.#tick);
    }
  }

  #tick = () => {
    this.#ticking = false;
    this.pump();
  };

  // pump gives the engine what its window and the pipe have room for.
  pump() {
    const session = this.#session;
    if (session === null || this.#queue.length === 0) return;
    while (this.#queue.length > 0 && !session.full(this)) {
      const batch = this.#queue[0];
      let n = batch.count - batch.gone;
      let cost = batch.rest(this.#recordCost);
      if (this.#inFlight + cost > this.#window) {
        if (this.#inFlight > this.#window / 2) break;
        n = batch.fit(this.#window - this.#inFlight, this.#recordCost);
        if (n === 0) {
          if (this.#inFlight > 0) break;
          n = 1;
        }
      }
      const bytes = batch.take(session, this.#number, this.#sent - this.#base, n);
      this.#sent += n;
      this.#waiting -= bytes + n * hostCost;
      this.#inFlight += bytes + n * this.#recordCost;
      if (batch.gone === batch.count) this.#queue.shift();
    }
    this.#changed();
  }

  // ready waits for room.
  ready({ signal } = none) {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    if (this.#roomy()) return roomy;
    this.#ready ??= this.#held(this.#waiters.until(() => this.#refusal !== null || this.#roomy())).then(() => {
      this.#ready = null;
      if (this.#refusal !== null) throw this.#refusal;
    });
    return signal === undefined ? this.#ready : first(this.#ready, signal);
  }

  #roomy() {
    return this.#waiting <= this.#options.bufferBytes / 2;
  }

  // --- results

  report(b, from, to) {
    wire.reports(b, from, to, this.#group, this.#one);
    this.#text = null;
    if (this.#queue.length > 0) this.pump();
    else this.#changed();
  }

  #group = (status, b, from, to) => {
    this.#status = status;
    switch (status) {
      case STATUS.STORED: {
        const [shard, sequence] = b.latin1Slice(from, to).split('\0', 2);
        if (sequence === undefined) throw wire.broken('a receipt without a sequence number');
        this.#text = { shard, sequence, durable: false };
        break;
      }
      case STATUS.DURABLE:
        this.#text = durable;
        break;
      case STATUS.NOT_STORED:
      case STATUS.UNKNOWN: {
        const e = wire.decode(b, from, to);
        if (e !== null && typeof e === 'object') e.unknown = status === STATUS.UNKNOWN;
        this.#text = fromWire(e);
        break;
      }
      default: throw wire.broken(`a report with the status ${status}`);
    }
  };

  #one = (number, sub) => {
    const n = number + this.#base;
    const record = n < this.#sent ? this.#open.take(n) : undefined;
    if (record === undefined) throw wire.broken(`a report of record ${number}, which is not open`);
    this.#inFlight -= record.number + this.#recordCost;
    if (this.#status <= STATUS.DURABLE) record.stored(this.#text, this.#status === STATUS.STORED ? sub : 0);
    else record.failed(this.#text, this.#failures);
  };

  // #fail ends the open records from one number to below another.
  #fail(from, to, error) {
    for (let n = Math.max(from, this.#open.first); n < to; n++) this.#open.take(n)?.failed(error, this.#failures);
  }

  #drop(error) {
    this.#queue = [];
    this.#waiting = 0;
    const from = this.#sent;
    this.#sent = this.#next;
    this.#fail(from, this.#next, error);
  }

  #changed() {
    this.#waiters.look();
  }

  // --- the engine's life

  #member = {
    begin: (session) => this.#begin(session),
    lost: (error) => this.#lost(error),
    fatal: (error) => this.#fatal(error),
  };

  async #begin(session) {
    try {
      const a = await session.call(METHOD.OPEN_PRODUCER, { producer: this.#number, stream: this.stream, options: this.#wire });
      if (session.ended) return;
      if (this.#ended) return void session.call(METHOD.CLOSE_PRODUCER, { producer: this.#number }).catch(() => {});
      this.#window = Number(a.window_bytes);
      this.#recordCost = Number(a.record_cost);
      this.#base = this.#sent;
      this.#session = session;
      session.producers.set(this.#number, this);
      this.pump();
      this.#changed();
    } catch (error) {
      if (session.ended) return; // lost, or fatal
      log('error', `the producer of ${JSON.stringify(this.stream)} cannot be opened: ${error.message}`, { stream: this.stream });
      this.#end(error);
    }
  }

  #lost(error) {
    this.#session = null;
    this.#inFlight = 0;
    this.#fail(0, this.#sent, failure('engine_gone', `${error.text}; the record may be stored`, {
      unknown: true, cause: error, remedy: this.#options.durable === '' ? undefined : 'it may also lie in the durable buffer, whose records the next engine sends',
    }));
    if (this.#options.onFailure === 'fail_key' && this.#queue.length > 0) {
      this.#drop(failure('earlier_failed', 'the results of earlier records are unknown, since the engine has ended', { cause: error }));
    }
    this.#changed();
  }

  #fatal(error) {
    this.#lost(error);
    this.#end(error);
  }

  // #end: nothing more is accepted, what waits fails.
  #end(error) {
    this.#ended = true;
    this.#refusal ??= error;
    this.#session?.producers.delete(this.#number);
    this.#session = null;
    this.#fail(0, this.#sent, failure('failed', 'the engine has not said what became of the record', { unknown: true }));
    this.#drop(error);
    this.#engine.leave(this.#member);
    exit.remove(this);
    this.#changed();
  }

  // --- waiting and asking

  async #held(promise) {
    hold();
    try {
      return await promise;
    } finally {
      release();
    }
  }

  // #opened returns the session once the producer is open.
  async #opened(signal) {
    await this.#held(first(this.#waiters.until(() => this.#session !== null || this.#ended), signal));
    if (this.#session === null) throw this.#refusal;
    return this.#session;
  }

  async check({ signal } = none) {
    const session = await this.#opened(signal);
    await first(session.call(METHOD.CHECK, { producer: this.#number }), signal);
  }

  async stats({ signal } = none) {
    const session = await this.#opened(signal);
    return { ...(await first(session.call(METHOD.STATS, { producer: this.#number }), signal)).stats };
  }

  stat(stats) {
    try {
      this.#options.onStats?.(stats);
    } catch (error) {
      log('error', `onStats failed: ${error?.stack ?? error}`, { stream: this.stream });
    }
  }

  async flush({ timeout, signal } = none) {
    const left = await first(this.#held(this.#drain(METHOD.FLUSH, timeout)), signal);
    this.#raise();
    if (left > 0 && this.#options.durable === '') throw failure('timeout', `${left} records sent to ${JSON.stringify(this.stream)} have no result after ${timeout} ms`);
    return left;
  }

  close({ timeout, signal } = none) {
    this.#closing ??= this.#held(this.#close(timeout ?? this.#options.closeTimeout));
    return first(this.#closing, signal);
  }

  async #close(timeout) {
    if (this.#refusal === null) this.#refusal = failure('closed', `the producer of ${JSON.stringify(this.stream)} is closed`);
    const left = this.#ended ? 0 : await this.#drain(METHOD.CLOSE_PRODUCER, timeout);
    if (!this.#ended) this.#end(this.#refusal);
    this.#raise();
    return left;
  }

  // #drain gives the engine everything that was accepted by now, and asks it with a
  // method that has a timeout. It returns how many are left.
  async #drain(method, timeout) {
    const target = this.#next;
    const until = timeout === undefined ? Infinity : Date.now() + timeout;
    const rest = () => (until === Infinity ? undefined : Math.max(0, until - Date.now()));
    const nothing = () => this.#session === null && this.#open.none(target) && this.#options.durable === '';
    for (;;) {
      this.pump();
      await this.#waiters.until(() => this.#ended || nothing() || (this.#session !== null && this.#sent >= target), rest());
      if (this.#ended || nothing()) return 0;
      if (this.#sent < target) {
        if (method === METHOD.FLUSH) return this.#open.below(target);
        this.#drop(failure('timeout', 'the record was not sent when the time to close was over'));
      }
      const session = this.#session;
      if (session === null) return 0;
      try {
        const ms = rest();
        const a = await session.call(method, { producer: this.#number, timeout: ms === undefined ? undefined : Math.round(ms * 1000) });
        return Number(a.left);
      } catch (error) {
        if (!session.ended) throw error;
      }
    }
  }

  #raise() {
    const { count, first: error } = this.#failures.take();
    if (count === 0) return;
    throw failure(error.code, `${count} records sent to ${JSON.stringify(this.stream)} failed, and nobody looked at it; the first: ${error.text ?? error.message}`, {
      remedy: error.remedy, unknown: error.unknown, cause: error,
    });
  }

  // #now sends what waits and reads results without an event loop, at the very end.
  #now(until) {
    this.#session?.waiting.delete(this);
    for (;;) {
      const session = this.#session;
      if (session === null || session.ended || this.#open.count === 0) return;
      this.pump();
      session.pushNow(until);
      if (!session.takeNow()) {
        if (Date.now() >= until) return;
        exit.pause();
      }
    }
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.close();
  }
}

const roomy = Promise.resolve();

module.exports = { Producer };
