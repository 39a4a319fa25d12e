'use strict';
// Programs of their own, which tests start to see how they end.

const { spawn } = require('node:child_process');
const path = require('node:path');

const home = path.join(__dirname, '..');
const fake = path.join(__dirname, 'fake-engine.js');

// run gives a program's text to node; it ends with {code, signal, out, err}. during is
// called with the child and a function that waits for a text in its output.
function run(text, { env = {}, fakes = null, esm = false, during = null } = {}) {
  const child = spawn(process.execPath, [...(esm ? ['--input-type=module'] : []), '-e', text], {
    cwd: home, env: { ...process.env, VEGAS_ENGINE: fake, ...(fakes ? { FAKE: JSON.stringify(fakes) } : {}), ...env },
  });
  let out = '';
  let err = '';
  let look = () => {};
  child.stdout.on('data', (b) => { out += b; look(); });
  child.stderr.on('data', (b) => { err += b; look(); });
  const over = new Promise((resolve) => {
    child.on('close', (code, signal) => {
      resolve({ code, signal, out, err });
      look = () => {};
    });
  });
  const says = (word) => new Promise((resolve, reject) => {
    look = () => { if (out.includes(word)) resolve(); };
    look();
    over.then((r) => reject(new Error(`it ended without ${word}: ${JSON.stringify(r)}`)));
  });
  if (during !== null) during(child, says).catch((e) => { err += e; child.kill('SIGKILL'); });
  return over;
}

module.exports = { run, fake, home };
