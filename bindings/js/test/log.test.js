'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { run } = require('./program.js');

test('the engine is asked for debug lines where the logger takes them', async () => {
  for (const [logger, want] of [
    ['null', 'info'],
    ['{ info() {} }', 'info'],
    ['{ debug() {} }', 'debug'],
    ["{ debug() {}, isLevelEnabled: (level) => level !== 'debug' }", 'info'],
  ]) {
    const r = await run(`
      const { Producer, setLogger } = require('.');
      setLogger(${logger});
      new Producer('s').stats().then((s) => console.log(s.options.log));`);
    assert.deepStrictEqual([r.out, r.err], [`${want}\n`, ''], logger);
  }
});
