'use strict';
// Errors of the program for the engine, and the other way round. The classes, one
// for each code of the protocol, are in spec.js.

const { ERRORS, VegasError } = require('./spec.js');

// failure makes the error of a code; one that this release does not know is "failed".
function failure(code, text, details) {
  const C = Object.hasOwn(ERRORS, code) ? ERRORS[code] : ERRORS.failed;
  return new C(text, details);
}

// fromWire makes the error that the engine has sent as a value.
function fromWire(e) {
  if (e === null || typeof e !== 'object') return failure('failed', 'the engine failed without saying why');
  return failure(e.code, typeof e.text === 'string' ? e.text : 'the engine gave no text', {
    remedy: typeof e.remedy === 'string' && e.remedy !== '' ? e.remedy : undefined,
    unknown: e.unknown === true,
  });
}

// toWire is what the engine gets of an exception of the program.
function toWire(e) {
  return { code: e instanceof VegasError ? e.code : 'handler', text: stackOf(e) };
}

const longest = 16 << 10;

// stackOf is the text of what a handler threw, with its stack if it has one.
function stackOf(e) {
  let text;
  try {
    if (e instanceof Error) {
      text = String(e.stack || e);
      if (e.cause !== undefined) text += `\ncaused by: ${e.cause?.stack ?? String(e.cause)}`;
    } else {
      text = `thrown: ${String(e)}`;
    }
  } catch {
    text = 'thrown: something that has no text';
  }
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

module.exports = { failure, fromWire, toWire, stackOf };
