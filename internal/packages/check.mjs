// In a folder that libvegas is installed in: both ways to load it are one module, the
// engine is that of the package beside it, and a record goes there and back.
import assert from 'node:assert';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import vegas, { Producer, Consumer, BadOptionError } from 'libvegas';
import { LocalKinesis } from 'libvegas/testing';

const require = createRequire(path.resolve('package.json'));
const here = fs.realpathSync('node_modules');
assert.equal(require('libvegas'), vegas);
assert.equal(path.dirname(fs.realpathSync(require.resolve('libvegas'))), path.join(here, 'libvegas'));
assert.throws(() => new Producer('orders', { linger: 'soon' }), BadOptionError);

const local = await LocalKinesis.start({ streams: { orders: 1 } });
const { Engine } = require(path.join(here, 'libvegas', 'lib', 'engine.js'));
const engines = [...Engine.all()].map((e) => path.dirname(fs.realpathSync(e.binary)));
const own = path.join(here, '@libvegas', `${process.platform}-${process.arch}`);
assert.deepEqual(engines, [path.join(own, 'bin')]);
for (const name of ['LICENSE', 'THIRD-PARTY-NOTICES.txt']) {
  for (const folder of [own, path.join(here, 'libvegas')]) assert.ok(fs.existsSync(path.join(folder, name)), `there is no ${name} in ${folder}`);
}

const producer = new Producer('orders', { endpoint: local.endpoint });
await producer.send('key', 'there and back');
await producer.close();
for await (const r of new Consumer('orders', 'check', { endpoint: local.endpoint })) {
  assert.equal(r.text, 'there and back');
  break;
}
await local.stop();
