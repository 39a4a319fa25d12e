'use strict';
// One life of an engine's process: its pipes, the frames that cross, the calls that
// wait for an answer.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const spec = require('./spec.js');
const wire = require('./wire.js');
const { failure, fromWire, toWire } = require('./errors.js');
const { hold, release } = require('./hold.js');
const { log, least } = require('./log.js');
const { version } = require('../package.json');

const { KIND } = spec;

// What may be on its way into the pipe before producers wait: enough for the engine to
// go on while we put more together.
const outMost = 1 << 20;

// How many calls are with the engine at most; it gives up on hosts with 4096.
const callsMost = 1000;

class Session {
  /**
   * @param {string} path the engine's binary
   * @param {{up: () => void, over: (error: Error) => void}} on up is called at the
   *   engine's hello, over once, when nothing more will come
   */
  constructor(path, on) {
    this.path = path;
    this.on = on;
    this.producers = new Map(); // by number, as consumers and calls
    this.consumers = new Map();
    this.calls = new Map();
    this.lastCall = 0;
    this.later = []; // calls above callsMost
    this.hello = null; // the engine's
    this.why = null; // the first error that was seen
    this.ended = false;
    this.queue = []; // for the pipe
    this.queued = 0;
    this.writing = null; // what the pipe has been given and has not taken
    this.waiting = new Set(); // producers that the pipe held up
    this.stderr = '';

    this.frames = new wire.Frames((kind, b, from, to) => this.frame(kind, b, from, to));
    hold(); // until hello, or the end
    this.timer = setTimeout(() => this.end(failure('engine_missing', `the engine ${path} did not say hello within ${spec.HELLO_TIMEOUT / 1e6} s`, {
      remedy: 'check that it is a vegas engine',
    })), spec.HELLO_TIMEOUT / 1000);

    // A session of its own: a Ctrl-C at the terminal is for the program alone.
    try {
      this.child = spawn(path, [], { stdio: 'pipe', detached: process.platform !== 'win32', windowsHide: true });
    } catch (error) {
      this.child = null;
      process.nextTick(() => this.over(notStarted(path, error)));
      return;
    }
    const { child } = this;
    child.on('error', (error) => { if (child.pid === undefined) this.over(notStarted(path, error)); });
    child.on('close', (code, signal) => this.over(this.gone(code, signal)));
    if (child.pid === undefined) return; // 'error' comes
    child.stdin.on('error', () => {}); // the engine's end tells more
    child.stdout.on('error', () => {});
    child.stdout.on('data', (bytes) => this.take(bytes));
    child.stdout.on('end', () => this.end(null));
    child.stderr.on('error', () => {});
    child.stderr.on('data', (text) => { this.stderr = (this.stderr + text).slice(-(16 << 10)); });
    for (const handle of [child, child.stdin, child.stdout, child.stderr]) handle.unref();
    this.write(wire.frame(KIND.HELLO, {
      protocol: [spec.PROTOCOL, spec.PROTOCOL], language: 'javascript', version, pid: process.pid, log: least(),
    }));
  }

  // --- out

  // write puts bytes of whole frames into the pipe; taken is called when it has them.
  write(bytes, taken = null) {
    if (this.ended) return;
    this.queue.push(bytes);
    this.queued += bytes.length;
    if (taken !== null) this.queue.push(taken);
    if (this.writing === null) this.next();
  }

  // One write at a time, of all that has gathered: so it is known what is left of it
  // when the process has to end at once.
  next() {
    const { stdin } = this.child;
    const now = this.queue;
    const size = this.queued;
    this.writing = now;
    this.queue = [];
    stdin.cork();
    let last;
    for (const part of now) if (typeof part !== 'function') last = part;
    for (const part of now) {
      if (typeof part === 'function') continue;
      if (part === last) stdin.write(part, () => this.took(now, size));
      else stdin.write(part);
    }
    stdin.uncork();
  }

  took(parts, size) {
    this.writing = null;
    this.queued -= size;
    for (const part of parts) if (typeof part === 'function') part();
    if (this.ended) return;
    if (this.queue.length > 0) this.next();
    if (this.queued < outMost && this.waiting.size > 0) {
      const waiting = [...this.waiting];
      this.waiting.clear();
      for (const p of waiting) p.pump();
    }
  }

  // full: producers wait until the pipe has taken more.
  full(producer) {
    if (this.queued < outMost) return false;
    this.waiting.add(producer);
    return true;
  }

  // call asks the engine; it keeps the process alive until there is an answer.
  call(method, args) {
    if (this.ended) return Promise.reject(this.why);
    return new Promise((resolve, reject) => {
      const number = ++this.lastCall;
      const bytes = wire.frame(KIND.CALL, { ...args, call: number, method });
      this.calls.set(number, { resolve, reject });
      hold();
      if (this.calls.size <= callsMost) this.write(bytes);
      else this.later.push(bytes);
    });
  }

  // --- in

  take(bytes) {
    if (this.ended) return;
    try {
      this.frames.take(bytes);
    } catch (error) {
      this.broke(error);
    }
  }

  broke(error) {
    if (this.hello === null) {
      error = failure('engine_missing', `${this.path} is no vegas engine: it began with something else than the protocol's hello`, {
        remedy: nameOne, cause: error,
      });
    } else {
      this.write(wire.frame(KIND.FAIL, { error: { code: 'protocol', text: String(error.message) } }));
    }
    this.end(error);
  }

  frame(kind, b, from, to) {
    if (this.hello === null && kind !== KIND.HELLO && kind !== KIND.FAIL) throw wire.broken('something before its hello');
    switch (kind) {
      case KIND.REPORT:
        return this.producers.get(wire.u32(b, from))?.report(b, from, to);
      case KIND.DELIVER:
        if (to - from < 4) throw wire.broken('a chunk that is cut off');
        return this.consumers.get(wire.u32(b, from))?.deliver(b, from, to);
      case KIND.STOP:
        if (to - from !== 9) throw wire.broken('a stop of another size');
        return this.consumers.get(wire.u32(b, from))?.stop(wire.u32(b, from + 4), b[from + 8]);
      case KIND.HELLO: return this.greeted(wire.decode(b, from, to));
      case KIND.ANSWER: return this.answered(wire.decode(b, from, to));
      case KIND.CALL: return void this.called(wire.decode(b, from, to));
      case KIND.EVENT: return this.event(wire.decode(b, from, to));
      case KIND.FAIL: return this.end(fromWire(wire.decode(b, from, to)?.error));
      default: // of a later release: passed over
    }
  }

  greeted(hello) {
    if (this.hello !== null) throw wire.broken('a second hello');
    if (hello === null || typeof hello !== 'object' || typeof hello.protocol !== 'number') throw wire.broken('a hello without a protocol');
    if (hello.protocol !== spec.PROTOCOL) {
      this.end(failure('version', `the engine ${this.path} speaks protocol ${hello.protocol}, this package ${spec.PROTOCOL}`, {
        remedy: 'use an engine of the same release',
      }));
      return;
    }
    this.hello = hello;
    clearTimeout(this.timer);
    release();
    this.on.up();
  }

  answered(a) {
    const call = this.calls.get(a?.call);
    if (call === undefined) throw wire.broken('an answer to no call');
    this.calls.delete(a.call);
    release();
    if (this.later.length > 0) this.write(this.later.shift());
    if (a.error != null) call.reject(fromWire(a.error));
    else call.resolve(a);
  }

  async called(c) {
    let answer;
    try {
      const consumer = this.consumers.get(c.consumer);
      if (consumer === undefined) throw failure('closed', 'there is no such consumer');
      switch (c.method) {
        case spec.METHOD.START_SHARD: answer = await consumer.startShard(c, this); break;
        case spec.METHOD.END_SHARD: answer = await consumer.endShard(c); break;
        default: throw failure('failed', `there is no method ${c.method}`);
      }
    } catch (error) {
      answer = { error: toWire(error) };
    }
    this.write(wire.frame(KIND.ANSWER, { ...answer, call: c.call }));
  }

  event(e) {
    switch (e.event) {
      case 'log': {
        const attrs = e.attrs !== null && typeof e.attrs === 'object' ? { ...e.attrs } : {};
        return log(e.level, String(e.text), attrs);
      }
      case 'stats':
        return (this.producers.get(e.producer) ?? this.consumers.get(e.consumer))?.stat(e.stats);
      case 'consumer_ended':
        return this.consumers.get(e.consumer)?.over(e.error == null ? null : fromWire(e.error));
      default:
    }
  }

  // --- the end

  // end makes sure of the end of the process; over follows.
  end(error) {
    if (error !== null) this.why ??= error;
    if (this.ended || this.child?.pid === undefined) return;
    this.child.stdin.end();
    this.child.stdout.resume();
    setTimeout(() => this.child.kill('SIGKILL'), this.hello === null || error !== null ? 0 : 1000).unref();
  }

  gone(code, signal) {
    const how = signal !== null ? `by ${signal}` : `with status ${code}`;
    const said = this.stderr.trim() === '' ? '' : `; it said: ${this.stderr.trim().slice(-2000)}`;
    if (this.hello === null && signal === null) {
      return failure('engine_missing', `${this.path} is no vegas engine: it ended ${how} before its hello${said}`, {
        remedy: nameOne,
      });
    }
    return failure('engine_gone', `the engine has ended ${how}${said}`);
  }

  over(error) {
    if (this.ended) return;
    this.ended = true;
    this.why ??= error;
    clearTimeout(this.timer);
    if (this.hello === null) release();
    for (const { reject } of this.calls.values()) {
      release();
      reject(this.why);
    }
    this.calls.clear();
    this.waiting.clear();
    this.on.over(this.why);
  }

  // --- without an event loop: the process is about to end

  // pushNow writes what the pipe has not taken, until then (Date.now).
  pushNow(until) {
    const handle = this.child?.stdin?._handle;
    if (this.ended || !(handle?.fd >= 0)) return;
    const bytes = (parts) => Buffer.concat(parts.filter((p) => typeof p !== 'function'));
    let rest = Buffer.alloc(0);
    if (this.writing !== null && handle.writeQueueSize > 0) {
      const all = bytes(this.writing);
      rest = all.subarray(all.length - handle.writeQueueSize);
    }
    rest = Buffer.concat([rest, bytes(this.queue)]);
    this.writing = []; // nothing goes through the stream any more
    this.queue = [];
    this.queued = 0;
    while (rest.length > 0) {
      const n = now(() => fs.writeSync(handle.fd, rest), until);
      if (n < 0) return;
      rest = rest.subarray(n);
      this.takeNow();
    }
  }

  // takeNow reads what has come, and says whether anything had.
  takeNow() {
    const fd = this.child?.stdout?._handle?.fd;
    if (this.ended || !(fd >= 0)) return false;
    const b = Buffer.allocUnsafe(64 << 10);
    const n = now(() => fs.readSync(fd, b), 0);
    if (n > 0) this.take(b.subarray(0, n));
    return n > 0;
  }
}

const nameOne = `name one for this platform (${process.platform} ${process.arch}) with VEGAS_ENGINE or the option engine, or leave both to the installed package`;

const clock = new Int32Array(new SharedArrayBuffer(4));

function pause() {
  Atomics.wait(clock, 0, 0, 1);
}

// now tries a call on a pipe that does not wait, until then. -1: it did not succeed.
function now(f, until) {
  for (;;) {
    try {
      return f();
    } catch (error) {
      if (error.code !== 'EAGAIN' || Date.now() >= until) return -1;
    }
    pause();
  }
}

function notStarted(path, error) {
  const remedies = {
    ENOENT: 'no such file (or its loader is missing): check VEGAS_ENGINE and the option engine, or install the platform package again',
    EACCES: 'it may not be executed: make it executable (chmod +x), and see that its file system is not mounted noexec',
    EPERM: 'it may not be executed: see what the system forbids this process',
    ENOEXEC: `it is no program for this machine (${process.platform} ${process.arch}): install the platform package that is`,
    UNKNOWN: `it is no program for this machine (${process.platform} ${process.arch}): install the platform package that is`,
    EAGAIN: 'there are too many processes',
    EMFILE: 'this process has too many open files',
  };
  return failure('engine_missing', `the engine ${path} cannot be started (${error.code ?? error.message})`, {
    remedy: remedies[error.code], cause: error,
  });
}

module.exports = { Session, pause };
