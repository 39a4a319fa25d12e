'use strict';
// The end of the process. A normal one flushes what is open, for as long as
// closeTimeout; SIGINT and SIGTERM close everything first, unless the program handles
// them itself; process.exit() writes and reads what it can without an event loop.

const { isMainThread } = require('node:worker_threads');
const { hold, release } = require('./hold.js');
const { log } = require('./log.js');
const { pause } = require('./session.js');

const all = new Map(); // producers and consumers → their hooks
const gaveUp = new WeakSet();
const signals = { SIGINT: 2, SIGTERM: 15 };
let registered = false;
let listening = 0;

// add registers a producer or consumer:
//   receives    whether it is a consumer
//   open()      whether records are open
//   count()     how many
//   timeout     how long the end waits for them, in ms
//   say()       logs failures that nobody has seen yet
//   close()     a promise
//   flush()     a promise of how many are left
//   now(until)  what can be done without an event loop
function add(who, onSignals, hooks) {
  all.set(who, { ...hooks, onSignals: onSignals && isMainThread });
  if (!registered) {
    registered = true;
    process.on('beforeExit', beforeExit);
    process.on('exit', atExit);
  }
  if (onSignals && isMainThread && listening++ === 0) {
    for (const name of Object.keys(signals)) process.on(name, onSignal);
  }
}

function remove(who) {
  const hooks = all.get(who);
  if (hooks === undefined || !all.delete(who)) return;
  if (hooks.onSignals && --listening === 0) {
    for (const name of Object.keys(signals)) process.removeListener(name, onSignal);
  }
}

async function beforeExit() {
  const busy = [...all].filter(([who, h]) => h.open() && !gaveUp.has(who));
  for (const h of all.values()) h.say();
  if (busy.length === 0) return;
  hold();
  await Promise.allSettled(busy.map(async ([who, h]) => {
    try {
      await h.flush();
    } catch (error) {
      log('error', error.message);
    }
    if (h.open()) {
      gaveUp.add(who);
      left(h);
    }
  }));
  release();
}

function left(h) {
  log('error', `the process ends with ${h.count()} records whose result is not known; the engine goes on with those that it has for up to 10 s`);
}

function atExit() {
  const busy = [...all].filter(([who]) => !gaveUp.has(who)).map(([, h]) => h);
  const start = Date.now();
  for (const h of busy) {
    h.now(start + h.timeout);
    h.say();
    if (h.open()) left(h);
  }
}

let closing = false;

async function onSignal(name) {
  if (process.listenerCount(name) > 1) return; // the program's own
  const again = () => {
    for (const n of Object.keys(signals)) process.removeListener(n, onSignal);
    if (process.pid !== 1) process.kill(process.pid, name);
    // The first process of a container ignores a signal that nobody listens to.
    else process.exit(128 + signals[name]);
  };
  if (closing) return again();
  closing = true;
  // Consumers first: what their handlers send until they return has to find producers.
  for (const receives of [true, false]) {
    const these = [...all.values()].filter((h) => h.receives === receives);
    await Promise.allSettled(these.map((h) => h.close().catch((error) => log('error', error.message))));
  }
  again();
}

module.exports = { add, remove, pause };
