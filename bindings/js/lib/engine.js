'use strict';
// The engine of this thread: found, started at first use, started again when it ends.

const { createRequire } = require('node:module');
const path = require('node:path');
const { Session } = require('./session.js');
const { failure } = require('./errors.js');
const { log } = require('./log.js');

const firstPause = 100; // ms, twice as long each time
const starts = { most: 5, within: 60000 };

const engines = new Map(); // by the path of their binaries

// A member is a producer, a consumer or a local server. It has
//   begin(session)  the engine is there
//   lost(error)     it has ended, and another one will be started
//   fatal(error)    there will be no other one
class Engine {
  constructor(binary) {
    this.binary = binary;
    this.members = new Set();
    this.session = null;
    this.up = false;
    this.dead = null;
    this.begun = []; // times of starts
    this.again = null; // the timer of the next one
    this.number = 0;
  }

  // of is the engine that a program asked for with the option engine.
  static of(option) {
    const binary = find(option);
    let e = engines.get(binary);
    if (e === undefined) engines.set(binary, e = new Engine(binary));
    return e;
  }

  static all() {
    return engines.values();
  }

  // join adds a member and returns its number.
  join(member) {
    this.members.add(member);
    if (this.dead !== null) process.nextTick(() => member.fatal(this.dead));
    else if (this.up) process.nextTick(() => { if (this.up) member.begin(this.session); });
    else if (this.session === null && this.again === null) this.start();
    return ++this.number;
  }

  leave(member) {
    this.members.delete(member);
  }

  start() {
    const now = Date.now();
    this.begun = this.begun.filter((t) => now - t < starts.within);
    this.begun.push(now);
    const session = new Session(this.binary, {
      up: () => {
        this.up = true;
        for (const m of [...this.members]) m.begin(session);
      },
      over: (error) => this.over(session, error),
    });
    this.session = session;
  }

  over(session, error) {
    const wasUp = this.up;
    this.session = null;
    this.up = false;
    if (error.code === 'engine_missing' || error.code === 'version') {
      engines.delete(this.binary); // what is opened later tries again
      return this.end(error);
    }
    if (this.begun.length >= starts.most) {
      return this.end(failure('engine_gone', `the engine was started ${starts.most} times within a minute: ${error.text}`, {
        remedy: 'see what it wrote to standard error, or VEGAS_ENGINE and the option engine, which name it', cause: error,
      }));
    }
    if (wasUp) for (const m of [...this.members]) m.lost(error);
    if (this.members.size === 0) return;
    const wait = firstPause * 2 ** (this.begun.length - 1);
    log('warn', `${error.text}; starting another one`, { in_ms: wait });
    this.again = setTimeout(() => {
      this.again = null;
      if (this.members.size > 0) this.start();
    }, wait).unref(); // those who wait for it keep the process alive
  }

  end(error) {
    this.dead = error;
    for (const m of [...this.members]) m.fatal(error);
  }
}

function find(option) {
  const given = option || process.env.VEGAS_ENGINE;
  if (given) return path.resolve(given);
  const name = `@libvegas/${process.platform}-${process.arch}`;
  try {
    // Not require: bundlers would put what they found while bundling in its place.
    const folder = path.dirname(createRequire(__filename).resolve(`${name}/package.json`));
    return path.join(folder, 'bin', process.platform === 'win32' ? 'vegas-engine.exe' : 'vegas-engine');
  } catch (cause) {
    throw failure('engine_missing', `the package ${name}, which brings the engine for this platform, is not installed`, {
      remedy: 'install libvegas without --omit=optional (--no-optional), on the platform that it will run on (a bundle needs that package beside it); where npm\'s lock file was made on another platform, remove package-lock.json and node_modules and install anew (https://github.com/npm/cli/issues/4828); or name an engine with VEGAS_ENGINE or the option engine', cause,
    });
  }
}

module.exports = { Engine };
