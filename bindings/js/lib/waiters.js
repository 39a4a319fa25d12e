'use strict';
// Waiting for a condition, a timeout, an AbortSignal.

class Waiters {
  #all = new Set();

  // until resolves when the condition holds, or after ms.
  until(condition, ms) {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const w = { condition, resolve, timer: null };
      if (ms !== undefined) w.timer = setTimeout(() => this.#done(w), ms);
      this.#all.add(w);
    });
  }

  // look resolves those whose condition holds by now.
  look() {
    if (this.#all.size === 0) return;
    for (const w of this.#all) if (w.condition()) this.#done(w);
  }

  #done(w) {
    clearTimeout(w.timer);
    this.#all.delete(w);
    w.resolve();
  }
}

// first is the promise's result, or the reason of the signal if it aborts before.
function first(promise, signal) {
  if (signal === undefined || signal === null) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

module.exports = { Waiters, first };
