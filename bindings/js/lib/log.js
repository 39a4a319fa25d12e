'use strict';
// Where the engine's words go: a logger that the program gives, or the console, which
// gets warnings and errors only.

const levels = ['debug', 'info', 'warn', 'error'];

let logger = null;

const plain = {
  warn: (text, attrs) => console.warn(line('warn', text, attrs)),
  error: (text, attrs) => console.error(line('error', text, attrs)),
};

function line(level, text, attrs) {
  const more = Object.entries(attrs ?? {}).map(([k, v]) => ` ${k}=${typeof v === 'string' ? v : JSON.stringify(v, wide)}`);
  return `vegas ${level}: ${text}${more.join('')}`;
}

const wide = (_, v) => (typeof v === 'bigint' ? String(v) : v);

// setLogger names the logger of this thread: an object with the methods debug, info,
// warn and error, or some of them, called with (text, attributes). null: the console.
function setLogger(l) {
  logger = l ?? null;
}

function log(level, text, attrs = {}) {
  const to = logger ?? plain;
  const at = levels.includes(level) ? level : 'info';
  if (typeof to[at] !== 'function') return;
  try {
    to[at](text, attrs);
  } catch (e) {
    console.error(line('error', 'the logger failed', { error: String(e) }));
  }
}

// least is the lowest level that an engine is asked for: debug where the logger takes it.
function least() {
  return typeof logger?.debug === 'function' && logger.isLevelEnabled?.('debug') !== false ? 'debug' : 'info';
}

module.exports = { setLogger, log, least };
