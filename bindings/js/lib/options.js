'use strict';
// Options of the program, checked and in the protocol's words and units.

const { failure } = require('./errors.js');

const wants = {
  flag: (v) => typeof v === 'boolean' || 'true or false',
  text: (v) => typeof v === 'string' || 'a text',
  number: (v) => (Number.isInteger(v) && v >= 0) || 'a whole number, 0 or more',
  size: (v) => (Number.isSafeInteger(v) && v >= 0) || 'a number of bytes, 0 or more',
  duration: (v) => (Number.isFinite(v) && v >= 0 && v <= 9e12) || 'a number of milliseconds, 0 or more',
  word: (v, o) => o.words.includes(v) || o.words.map((w) => `'${w}'`).join(' or '),
  start: (v) => v === 'trim_horizon' || v === 'latest' || (v instanceof Date && !Number.isNaN(v.getTime()))
    || "'trim_horizon', 'latest' or a Date",
  list: (v) => Array.isArray(v) || 'a list',
  function: (v) => typeof v === 'function' || 'a function',
};

// read takes what a program gave apart: host has every option with its default, wire
// what the engine is told, which is only what was given. own names the options that
// this binding has beside those of the protocol: name to type.
function read(what, table, own, given = {}) {
  if (given === null || typeof given !== 'object') throw failure('bad_option', `${what}: the options are no object`);
  const host = {};
  const wire = {};
  for (const [name, o] of Object.entries(table)) host[name] = o.value;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const o = Object.hasOwn(table, name) ? table[name] : undefined;
    const type = o?.type ?? (Object.hasOwn(own, name) ? own[name] : undefined);
    if (type === undefined) {
      throw failure('bad_option', `${what}: there is no option ${JSON.stringify(name)}${nearest(name, [...Object.keys(table), ...Object.keys(own)])}`);
    }
    const fit = (wants[type] ?? type)(value, o);
    if (fit !== true) throw failure('bad_option', `${what}: the option ${name} is ${show(value)}: want ${fit}`);
    host[name] = value;
    if (o === undefined || o.host) continue;
    wire[o.wire] = cross(type, value);
  }
  return { host, wire };
}

function cross(type, value) {
  switch (type) {
    case 'duration': return Math.round(value * 1000);
    case 'start': return value instanceof Date ? value.getTime() * 1000 : value;
    case 'function': return true;
    default: return value;
  }
}

function show(v) {
  if (typeof v === 'string') return JSON.stringify(v.slice(0, 80));
  if (typeof v === 'function') return 'a function';
  return typeof v === 'object' && v !== null ? 'an object' : String(v);
}

// nearest says which option somebody may have meant, also in the case of other languages.
function nearest(name, names) {
  const a = name.toLowerCase().replace(/[_-]/g, '');
  let best = a.length / 2 + 1;
  let at = '';
  for (const n of names) {
    const d = distance(a, n.toLowerCase());
    if (d < best) [best, at] = [d, n];
  }
  return at === '' ? '' : `: did you mean ${at}?`;
}

function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(a[i] === b[j] ? row[j] : 1 + Math.min(row[j], row[j + 1], next[j]));
    }
    row = next;
  }
  return row[b.length];
}

const isSignal = (v) => v instanceof AbortSignal || 'an AbortSignal';

module.exports = { read, isSignal };
