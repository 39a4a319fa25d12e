'use strict';
// Consumer receives the records of a stream for a group.

const spec = require('./spec.js');
const options = require('./options.js');
const exit = require('./exit.js');
const wire = require('./wire.js');
const { Engine } = require('./engine.js');
const { failure } = require('./errors.js');
const { hold, release } = require('./hold.js');
const { Iterator } = require('./iterate.js');
const { log } = require('./log.js');
const { Chunk, Record } = require('./record.js');
const { Run } = require('./run.js');
const { Shard } = require('./shard.js');
const { Waiters, first } = require('./waiters.js');

const { METHOD, REASON } = spec;
const words = { [REASON.HANDOFF]: 'handoff', [REASON.LEASE_LOST]: 'lease_lost', [REASON.GRACE_OVER]: 'grace_over' };
const own = { signals: 'flag', signal: options.isSignal };
const none = Object.freeze({});
const sayEvery = 1000; // ms

class Consumer {
  #engine;
  #number;
  #wire;
  #options;
  #how; // what runs need
  #session = null; // where it is open
  #opening = null;
  #shards = new Map(); // by number
  #runs = new Map(); // shard's id → {run, over}
  #iterator = null;
  #iterated = false;
  #ended = null; // {error}
  #closing = null;
  #waiters = new Waiters();
  #timer;
  #abort;

  constructor(stream, group, handler, given) {
    if (typeof handler !== 'function' && given === undefined) [handler, given] = [undefined, handler];
    for (const [name, v] of [['stream', stream], ['group', group]]) {
      if (typeof v !== 'string' || v === '') throw failure('bad_option', `the ${name} is ${v === '' ? 'empty' : `a ${typeof v}`}`, { remedy: 'give its name or ARN' });
    }
    const what = `consumer of ${JSON.stringify(stream)}`;
    if (handler !== undefined && handler !== null && typeof handler !== 'function') throw failure('bad_option', `${what}: the handler is a ${typeof handler}, not a function`);
    const o = options.read(what, spec.CONSUMER_OPTIONS, own, given ?? {});
    this.stream = stream;
    this.group = group;
    this.#options = o.host;
    this.#wire = o.wire;
    if (o.host.onStats && !o.host.statsEvery) this.#wire.stats_every = 10e6;
    if (handler == null) this.#iterator = new Iterator({ close: () => this.close(), ended: () => this.#ended });
    this.#engine = Engine.of(o.host.engine);
    this.#number = this.#engine.join(this.#member);
    this.#how = {
      number: this.#number,
      handler: handler ?? this.#iterator.offer,
      deadLetter: o.host.deadLetter,
      parallel: o.host.parallel,
      batch: o.host.batch,
      closing: () => this.#closing,
    };
    hold();
    this.#timer = setInterval(() => {
      for (const { run } of this.#runs.values()) run.say(false);
    }, sayEvery).unref();
    exit.add(this, o.host.signals !== false, {
      receives: true, open: () => false, count: () => 0, timeout: 1000, say: () => {}, flush: () => {},
      close: () => this.close(),
      now: (until) => this.#now(until),
    });
    const { signal } = o.host;
    if (signal !== undefined) {
      this.#abort = () => this.close().catch(() => {}); // wait tells
      if (signal.aborted) this.#abort();
      else signal.addEventListener('abort', this.#abort, { once: true });
    }
  }

  // --- the engine's life

  #member = {
    begin: (session) => { this.#opening = this.#begin(session); },
    lost: (error) => this.#lost(error),
    fatal: (error) => {
      this.#lost(error);
      this.over(error);
    },
  };

  async #begin(session) {
    if (this.#ended !== null) return;
    session.consumers.set(this.#number, this); // shards may start before the answer is here
    try {
      await session.call(METHOD.OPEN_CONSUMER, { consumer: this.#number, stream: this.stream, group: this.group, options: this.#wire });
      if (session.ended) return;
      this.#session = session;
      this.#waiters.look();
    } catch (error) {
      if (!session.ended) this.over(error);
    }
  }

  #lost() {
    this.#session = null;
    this.#opening = null;
    for (const shard of this.#shards.values()) this.#stop(shard, 'engine_gone');
    this.#shards.clear();
    if (this.#closing !== null) this.over(null);
  }

  // over: the consumer has ended, with an error if it is not null.
  over(error) {
    if (this.#ended !== null) return;
    const closing = this.#closing !== null;
    // Who closed it is told of handlers that have not ended, and of nothing else.
    const raised = error !== null && (!closing || error.code === 'grace_over');
    this.#ended = { error: raised ? error : null };
    clearInterval(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#engine.leave(this.#member);
    exit.remove(this);
    if (error !== null) log(raised ? 'error' : 'warn', `the consumer of ${JSON.stringify(this.stream)} has ended: ${error.message}`, { stream: this.stream, group: this.group });
    for (const shard of this.#shards.values()) this.#stop(shard, 'shutdown');
    this.#waiters.look();
    this.#iterator?.look();
    release();
  }

  #now(until) {
    const session = this.#session;
    if (session === null || session.ended) return;
    session.call(METHOD.CLOSE_CONSUMER, { consumer: this.#number }).catch(() => {});
    session.pushNow(until);
  }

  // --- shards and their records

  async startShard(args, session) {
    // One that an engine had which has ended: its handler goes on until it returns.
    await this.#runs.get(args.id)?.over;
    if (this.#closing !== null || this.#ended !== null || session.ended) throw failure('closed', 'the consumer is closed');
    const shard = new Shard(args, session);
    this.#shards.set(args.shard, shard);
    if (!this.#options.external) return {};
    const at = await this.#options.external(shard);
    if (at === undefined || at === null) return {};
    return { sequence: at.sequence, sub: at.subSequence };
  }

  endShard(args) {
    const shard = this.#shards.get(args.shard);
    if (shard !== undefined && shard.stopping === null) this.#stop(shard, args.why === 'lost' ? 'lease_lost' : args.why === 'grace_over' ? 'grace_over' : 'shutdown');
    this.#shards.delete(args.shard);
    return {};
  }

  deliver(b, from, to) {
    const chunk = new Chunk(b, from, to);
    const shard = this.#shards.get(chunk.shard);
    if (shard === undefined) throw wire.broken(`a chunk of shard ${chunk.shard}, which has not started`);
    if (this.#runs.has(shard.id)) throw wire.broken(`a second chunk of ${shard.id}`);
    const run = new Run(this.#how, shard, chunk);
    const over = run.run().catch((error) => log('error', `the run of a chunk failed: ${error?.stack ?? error}`)).finally(() => this.#runs.delete(shard.id));
    this.#runs.set(shard.id, { run, over });
  }

  stop(number, why) {
    const shard = this.#shards.get(number);
    if (shard !== undefined) this.#stop(shard, words[why] ?? 'shutdown');
  }

  #stop(shard, word) {
    Shard.stop(shard, word);
    this.#iterator?.withdraw(shard);
  }

  // --- what programs call

  [Symbol.asyncIterator]() {
    if (this.#iterator === null) throw failure('bad_option', 'this consumer has a handler', { remedy: 'iterate over a consumer that was made without one' });
    if (this.#iterated) throw failure('bad_option', 'this consumer is iterated over already');
    this.#iterated = true;
    return this.#iterator;
  }

  // wait resolves when the consumer has ended, and rejects if it failed, or if handlers
  // had not ended within grace.
  wait({ signal } = none) {
    return first(this.#waiters.until(() => this.#ended !== null).then(() => {
      if (this.#ended.error !== null) throw this.#ended.error;
    }), signal);
  }

  // close only waits: what there is to tell, wait and the log do.
  close({ signal } = none) {
    if (this.#closing === null) {
      this.#closing = this.#close();
      this.#closing.catch(() => {}); // wait tells, and the log
      for (const shard of this.#shards.values()) this.#stop(shard, 'shutdown'); // nothing is begun meanwhile
    }
    return first(this.#closing, signal);
  }

  async #close() {
    await null; // after #closing is set
    if (this.#session === null && this.#opening !== null) await this.#opening;
    const session = this.#session;
    if (this.#ended === null && session !== null) {
      try {
        await session.call(METHOD.CLOSE_CONSUMER, { consumer: this.#number });
      } catch (error) {
        if (!session.ended) this.over(error);
      }
      session.consumers.delete(this.#number);
    }
    this.over(null);
  }

  async #opened(signal) {
    await first(this.#waiters.until(() => this.#session !== null || this.#ended !== null), signal);
    if (this.#ended !== null) throw this.#ended.error ?? failure('closed', `the consumer of ${JSON.stringify(this.stream)} is closed`);
    return this.#session;
  }

  async check({ signal } = none) {
    const session = await this.#opened(signal);
    await first(session.call(METHOD.CHECK, { consumer: this.#number }), signal);
  }

  async stats({ signal } = none) {
    const session = await this.#opened(signal);
    return { ...(await first(session.call(METHOD.STATS, { consumer: this.#number }), signal)).stats };
  }

  stat(stats) {
    try {
      this.#options.onStats?.(stats);
    } catch (error) {
      log('error', `onStats failed: ${error?.stack ?? error}`, { stream: this.stream });
    }
  }

  // checkpoint moves the group's position to a record, under checkpoint: 'manual'. It
  // rejects with lease_lost where the shard belongs to somebody else by now.
  async checkpoint(record, { signal } = none) {
    const shard = record instanceof Record ? Record.from(record) : undefined;
    if (shard === undefined) throw failure('bad_option', 'checkpoint takes a record that a handler was given');
    if (this.#shards.get(Shard.number(shard)) !== shard) throw failure('lease_lost', `${shard.id}: this consumer does not own the shard, or not any more`);
    await first(Shard.session(shard).call(METHOD.CHECKPOINT, {
      consumer: this.#number, shard: Shard.number(shard), sequence: record.sequence, sub: record.subSequence,
    }), signal);
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.close();
  }
}

module.exports = { Consumer };
