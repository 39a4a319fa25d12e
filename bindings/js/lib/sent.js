'use strict';
// What send returns: the promise of a record's receipt, made when somebody looks at it.
// Most records are sent by the hundred thousand and looked at by nobody, and a promise
// with its functions costs more than all else of sending. It tells us, too, who looks: a
// failure that nobody does is logged and raised by flush and close, and a record that
// somebody waits for keeps the process alive.

const { hold, release } = require('./hold.js');

class Receipt {
  constructor(shard, sequence, subSequence, durable) {
    this.shard = shard;
    this.sequence = sequence;
    this.subSequence = subSequence;
    this.durable = durable;
  }
}

// A record that failed, and whom to tell when somebody looks at it after all.
class Failed {
  constructor(error, failures) {
    this.error = error;
    this.failures = failures;
  }
}

// It has few fields: those that are open are as many as the window has room for, and
// the collector of garbage carries each about twice before its result is there.
class Sent {
  constructor() {
    this.number = 0; // the cost of one that is open; then the index in an aggregate
    this.value = null; // what the receipts of an aggregate share, or Failed; null: it is open
    this.looked = null; // the promise and its functions
  }

  // stored: at is {shard, sequence, durable}, shared by those of an aggregate.
  stored(at, sub) {
    this.value = at;
    this.number = sub;
    if (this.looked !== null) this.end();
  }

  failed(error, failures) {
    this.value = new Failed(error, failures);
    if (this.looked !== null) this.end();
    else failures.add(this, error);
  }

  end() {
    const { ok, no } = this.looked;
    if (ok === null) return;
    this.looked.ok = this.looked.no = null;
    release();
    if (this.value instanceof Failed) no(this.value.error);
    else ok(this.receipt());
  }

  receipt() {
    return new Receipt(this.value.shard, this.value.sequence, this.number, this.value.durable);
  }

  // look returns the promise.
  look() {
    if (this.looked !== null) return this.looked.promise;
    const looked = { promise: null, ok: null, no: null };
    looked.promise = new Promise((ok, no) => {
      looked.ok = ok;
      looked.no = no;
    });
    this.looked = looked;
    hold();
    if (this.value !== null) {
      if (this.value instanceof Failed) this.value.failures.forget(this);
      this.end();
    }
    return looked.promise;
  }

  then(resolved, rejected) {
    return this.look().then(resolved, rejected);
  }

  catch(rejected) {
    return this.then(undefined, rejected);
  }

  finally(f) {
    return this.look().finally(f);
  }

  [Symbol.for('nodejs.util.inspect.custom')](_, options, inspect) {
    if (this.value === null) return 'Promise { <pending> }';
    const failed = this.value instanceof Failed;
    return `Promise { ${failed ? '<rejected> ' : ''}${inspect(failed ? this.value.error : this.receipt(), options)} }`;
  }
}

// For those who ask with instanceof.
Object.setPrototypeOf(Sent.prototype, Promise.prototype);

const remembered = 1000;
const logAfter = 10_000; // ms, for those who send first and look later

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
