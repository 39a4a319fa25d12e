'use strict';
// The promise of a record's receipt. It knows whether somebody looks at it: a failure
// that nobody looks at is logged and raised by flush and close, and a record that
// somebody waits for keeps the process alive.

const { hold, release } = require('./hold.js');

const ignore = () => {};

// An entry is what a producer remembers of an open record.
class Entry {
  constructor() {
    this.ok = null;
    this.no = null;
    this.promise = null;
    this.cost = 0;
    this.looked = false;
    this.failures = null; // those of the producer, once it has failed
  }

  look() {
    if (this.looked) return;
    this.looked = true;
    if (this.failures !== null) this.failures.forget(this);
    else if (this.ok !== null) hold();
  }

  resolve(receipt) {
    this.ok(receipt);
    this.done();
  }

  reject(error, failures) {
    if (!this.looked) {
      this.failures = failures;
      failures.add(this, error);
      Promise.prototype.then.call(this.promise, undefined, ignore); // no unhandledRejection
    }
    this.no(error);
    this.done();
  }

  done() {
    if (this.looked) release();
    this.ok = null;
    this.no = null;
    this.promise = null;
  }
}

class Sent extends Promise {
  #entry;

  constructor(executor, entry) {
    super(executor);
    this.#entry = entry;
  }

  static get [Symbol.species]() { return Promise; }

  then(resolved, rejected) {
    this.#entry?.look();
    return super.then(resolved, rejected);
  }
}

// sent makes an open record's entry, with its promise.
function sent() {
  const e = new Entry();
  e.promise = new Sent((ok, no) => {
    e.ok = ok;
    e.no = no;
  }, e);
  return e;
}

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
    else {
      this.more++;
      entry.failures = null;
    }
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

module.exports = { sent, Failures };
