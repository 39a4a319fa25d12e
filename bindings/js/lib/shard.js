'use strict';
// Shard is one that this consumer owns for a while: what handlers get beside a record.

const { failure } = require('./errors.js');

const texts = {
  lease_lost: 'the shard belongs to another worker now: what the handler does is not checkpointed',
  grace_over: 'the time for handlers to finish is over: what the handler does is not checkpointed',
  engine_gone: 'the engine that had the shard has ended: what the handler does is not checkpointed',
};

class Shard {
  #number;
  #session;
  #abort = null; // made when somebody asks for the signal

  constructor(args, session) {
    this.#number = args.shard;
    this.#session = session;
    this.id = String(args.id);
    this.stream = String(args.stream);
    this.parents = Array.isArray(args.parents) ? args.parents : [];
    this.possession = args.possession;
    this.takeovers = Number(args.takeovers ?? 0);
    this.sequence = args.sequence ?? '';
    this.subSequence = Number(args.sub ?? 0);
    this.stopping = null;
  }

  // signal aborts when handlers should give up: the lease is lost, or the grace is over.
  get signal() {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      this.#tell();
    }
    return this.#abort.signal;
  }

  #tell() {
    const text = texts[this.stopping];
    if (text !== undefined && this.#abort !== null) this.#abort.abort(failure(this.stopping, `${this.id}: ${text}`));
  }

  static stop(shard, word) {
    shard.stopping = word;
    shard.#tell();
  }

  static number(shard) {
    return shard.#number;
  }

  static session(shard) {
    return shard.#session;
  }
}

module.exports = { Shard };
