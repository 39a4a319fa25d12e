'use strict';
// What send returns: the promise of a record's receipt, made when somebody looks at it.
// Most records are sent by the hundred thousand and looked at by nobody, and a promise
// with its functions costs more than all else of sending. It tells us, too, who looks: a
// failure that nobody does is logged and raised by flush and close, and a record that
// somebody waits for keeps the process alive.

const { hold, release } = require('./hold.js');

const OPEN = 0;
const STORED = 1;
const FAILED = 2;

class Receipt {
  constructor(shard, sequence, subSequence, durable) {
    this.shard = shard;
    this.sequence = sequence;
    this.subSequence = subSequence;
    this.durable = durable;
  }
}

class Sent {
  constructor(failures, cost) {
    this.failures = failures;
    this.cost = cost;
    this.state = OPEN;
    this.value = null; // the error, or what the receipts of an aggregate share
    this.sub = 0;
    this.looked = false;
    this.ends = null; // of the promise
    this.promise = null;
  }

  // stored: at is {shard, sequence, durable}, shared by those of an aggregate.
  stored(at, sub) {
    this.state = STORED;
    this.value = at;
    this.sub = sub;
    if (this.looked) this.end();
  }

  failed(error) {
    this.state = FAILED;
    this.value = error;
    if (this.looked) this.end();
    else this.failures.add(this, error);
  }

  end() {
    if (this.ends === null) return;
    const { ok, no } = this.ends;
    this.ends = null;
    release();
    if (this.state === STORED) ok(this.receipt());
    else no(this.value);
  }

  receipt() {
    return new Receipt(this.value.shard, this.value.sequence, this.sub, this.value.durable);
  }

  look() {
    if (this.looked) return;
    this.looked = true;
    this.promise = new Promise((ok, no) => { this.ends = { ok, no }; });
    hold();
    if (this.state === OPEN) return;
    if (this.state === FAILED) this.failures.forget(this);
    this.end();
  }

  then(resolved, rejected) {
    this.look();
    return this.promise.then(resolved, rejected);
  }

  catch(rejected) {
    return this.then(undefined, rejected);
  }

  finally(f) {
    this.look();
    return this.promise.finally(f);
  }

  [Symbol.for('nodejs.util.inspect.custom')](_, options, inspect) {
    if (this.state === OPEN) return 'Promise { <pending> }';
    return `Promise { ${this.state === FAILED ? '<rejected> ' : ''}${inspect(this.state === STORED ? this.receipt() : this.value, options)} }`;
  }
}

// For those who ask with instanceof.
Object.setPrototypeOf(Sent.prototype, Promise.prototype);

const remembered = 1000;
const logAfter = 1000; // ms

// Failures are those of a producer that nobody has looked at.
class Failures {
  constructor(say) {
    this.say = say; // called with a count and the first error, for the log
    this.entries = new Map(); // entry → error, of as many as we remember
    this.more = 0;
    this.unsaid = 0;
    this.timer = null;
  }

  add(entry, error) {
    if (this.entries.size < remembered) this.entries.set(entry, error);
    else this.more++;
    this.unsaid++;
    this.timer ??= setTimeout(() => this.sayNow(), logAfter).unref();
  }

  forget(entry) {
    if (this.entries.delete(entry) && this.unsaid > 0) this.unsaid--;
  }

  sayNow() {
    clearTimeout(this.timer);
    this.timer = null;
    const count = Math.min(this.unsaid, this.count);
    this.unsaid = 0;
    if (count > 0) this.say(count, this.first);
  }

  get count() {
    return this.entries.size + this.more;
  }

  get first() {
    return this.entries.values().next().value ?? null;
  }

  // take returns how many there are and the first one, and forgets them.
  take() {
    const { count, first } = this;
    clearTimeout(this.timer);
    this.timer = null;
    this.entries.clear();
    this.more = 0;
    this.unsaid = 0;
    return { count, first };
  }
}

module.exports = { Sent, Receipt, Failures };
