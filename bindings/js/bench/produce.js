'use strict';
// What a record costs: processor time of this process and of the engine.
//
//   node bench/produce.js [records] [bytes] [send|await|sdk]
//
// Without AWS_ENDPOINT_URL it is what this package costs alone, before an engine that
// answers at once (test/fake-engine.js). sdk sends the same by PutRecords of 500; SDK
// names the folder node_modules that has @aws-sdk/client-kinesis.

const fs = require('node:fs');
const path = require('node:path');

const [count = '400000', bytes = '100', how = 'send'] = process.argv.slice(2);
const data = Buffer.alloc(Number(bytes), 'x');
const real = process.env.AWS_ENDPOINT_URL !== undefined;
if (!real) process.env.VEGAS_ENGINE = path.join(__dirname, '..', 'test', 'fake-engine.js');

// Microseconds that another process has used; 0 where /proc does not tell.
function used(pid) {
  try {
    const [user, system] = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ').slice(11, 13);
    return (Number(user) + Number(system)) * 10000;
  } catch {
    return 0;
  }
}

function vegas() {
  const { Producer } = require('..');
  const { Engine } = require('../lib/engine.js');
  const p = new Producer('bench', { endpoint: process.env.AWS_ENDPOINT_URL });
  return {
    async send(n) {
      let some = [];
      for (let i = 0; i < n; i++) {
        const sent = p.send(`key-${i % 1000}`, data);
        if (how === 'await' && some.push(sent) === 500) {
          await Promise.all(some);
          some = [];
        } else if (i % 256 === 0) await p.ready();
      }
      await p.flush();
    },
    engine: () => (real ? used([...Engine.all()][0].session.child.pid) : 0),
    close: () => p.close(),
  };
}

function sdk() {
  const { KinesisClient, PutRecordsCommand } = require(path.resolve(process.env.SDK, '@aws-sdk/client-kinesis'));
  const client = new KinesisClient({ endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION });
  return {
    async send(n) {
      const open = new Set();
      for (let i = 0; i < n; i += 500) {
        const Records = Array.from({ length: 500 }, (_, k) => ({ PartitionKey: `key-${(i + k) % 1000}`, Data: data }));
        const call = client.send(new PutRecordsCommand({ StreamName: 'bench', Records })).then((r) => {
          if (r.FailedRecordCount > 0) throw new Error(`${r.FailedRecordCount} records were refused`);
          open.delete(call);
        });
        open.add(call);
        if (open.size >= 8) await Promise.race(open);
      }
      await Promise.all(open);
    },
    engine: () => 0,
    close: () => client.destroy(),
  };
}

async function main() {
  const n = Number(count);
  const to = how === 'sdk' ? sdk() : vegas();
  await to.send(5000); // warm
  const engine = to.engine();
  const before = process.cpuUsage();
  const begin = process.hrtime.bigint();
  await to.send(n);
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  const cpu = process.cpuUsage(before);
  const host = (cpu.user + cpu.system) / n;
  const rest = (to.engine() - engine) / n;
  console.log(`${how} ${bytes} B: ${(host + rest).toFixed(2)} us a record (host ${host.toFixed(2)}, engine ${rest.toFixed(2)}), ${Math.round(n / seconds)} records/s`);
  await to.close();
}

main();
