'use strict';
// The records of a producer that have no result yet, by their numbers.

const size = 1024;

class Open {
  #pages = new Map(); // by the number of their first record, in that order
  #last = null; // the page that was looked at
  #lastAt = -1;
  count = 0;

  // add takes a record of the next number.
  add(number, record) {
    const i = number % size;
    const at = number - i;
    let page = this.#page(at);
    if (page === undefined) {
      page = { records: new Array(size).fill(undefined), left: size };
      this.#pages.set(at, page);
    }
    page.records[i] = record;
    this.count++;
  }

  // take gives a record back, undefined if it has been taken or was never added.
  take(number) {
    const i = number % size;
    const at = number - i;
    const page = this.#page(at);
    const record = page?.records[i];
    if (record === undefined) return undefined;
    page.records[i] = undefined;
    this.count--;
    if (--page.left === 0) {
      this.#pages.delete(at);
      this.#lastAt = -1;
    }
    return record;
  }

  // below is how many are open with a number below that.
  below(number) {
    let n = 0;
    for (const [at, { records }] of this.#pages) {
      if (at + size > number) return n + records.filter((r, i) => r !== undefined && at + i < number).length;
      n += records.reduce((m, r) => (r === undefined ? m : m + 1), 0);
    }
    return n;
  }

  // none says whether below would be 0.
  none(number) {
    for (const [at, { records }] of this.#pages) {
      const i = records.findIndex((r) => r !== undefined);
      if (i >= 0) return at + i >= number;
    }
    return true;
  }

  #page(at) {
    if (at === this.#lastAt) return this.#last;
    const page = this.#pages.get(at);
    if (page !== undefined) {
      this.#last = page;
      this.#lastAt = at;
    }
    return page;
  }

  // first is the lowest number that may be open.
  get first() {
    for (const at of this.#pages.keys()) return at;
    return Infinity;
  }
}

module.exports = { Open };
