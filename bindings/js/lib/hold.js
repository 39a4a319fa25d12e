'use strict';
// What keeps the process alive. The engine's process and pipes never do; a timer does
// while something is held.

let held = 0;
let timer = null;

function hold() {
  if (held++ > 0) return;
  if (timer === null) timer = setInterval(() => {}, 0x7fffffff);
  else timer.ref();
}

function release() {
  if (--held === 0) timer.unref();
}

module.exports = { hold, release };
