// What the contest of languages has JavaScript do. See ../main.go. BINDING names the
// module of the binding, SDK the folder node_modules that has @aws-sdk/client-kinesis.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { readSync } from 'node:fs';
import path from 'node:path';

const [role, stream, group, warmStream, warmGroup, ...numbers] = process.argv.slice(2);
const [size, records, warm, keys, aggregated] = numbers.map(Number);

const say = (line) => process.stdout.write(line + '\n');

// Goes on when it was read what this process has cost so far.
function mark(word) {
  say(word);
  readSync(0, Buffer.alloc(1));
}

// Says so, and waits until what it had in memory is read.
async function done(what = {}) {
  say('done ' + JSON.stringify(what));
  await new Promise((ended) => process.stdin.on('end', ended).resume());
}

// What is sent.

const allKeys = Array.from({ length: keys }, (_, i) => 'customer-' + String(i).padStart(6, '0'));
const template = Buffer.from(Array.from({ length: size }, (_, n) => (n < 8 ? 0 : (n * 31) & 255)));
const key = (i) => allKeys[(i * 7919) % keys];
function payload(i) {
  const b = Buffer.from(template);
  b.writeUInt32BE(i, 4);
  return b;
}

// The handler's side: counts each record once.
class Handled {
  constructor(of) {
    this.seen = new Uint8Array(of);
    this.of = of;
    this.handled = this.twice = this.first = this.last = 0;
    this.all = new Promise((all) => (this.ended = all));
  }

  handle(data) {
    const i = data.readUInt32BE(4);
    if (this.seen[i]) {
      this.twice++;
      return;
    }
    this.seen[i] = 1;
    const n = ++this.handled;
    if (n === 1) this.first = performance.now();
    if (n === this.of) {
      this.last = performance.now();
      this.ended();
    }
  }

  told() {
    return { handled: this.handled, twice: this.twice, seconds: (this.last - this.first) / 1000 };
  }
}

const binding = () => import(process.env.BINDING);

// measured sends the first records, and then what is measured.
async function measured(send) {
  await send(0, warm);
  mark('begin');
  await send(warm, records);
  mark('end');
  await done();
}

const roles = {
  async produce() {
    const { Producer } = await binding();
    const p = new Producer(stream, { aggregate: aggregated === 1 });
    await measured(async (from, to) => {
      for (let i = from; i < to; i++) {
        if (i % 256 === 0) await p.ready();
        p.send(key(i), payload(i));
      }
      await p.flush();
    });
    await p.close();
  },

  async sdk() {
    const require = createRequire(path.join(process.env.SDK, 'x.js'));
    const { KinesisClient, PutRecordsCommand } = require('@aws-sdk/client-kinesis');
    const client = new KinesisClient({ endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION });
    await measured(async (from, to) => {
      const open = new Set();
      for (let first = from; first < to; first += 500) {
        const Records = [];
        for (let i = first; i < Math.min(to, first + 500); i++) Records.push({ PartitionKey: key(i), Data: payload(i) });
        const call = client.send(new PutRecordsCommand({ StreamName: stream, Records })).then((r) => {
          if (r.FailedRecordCount > 0) throw new Error(`${r.FailedRecordCount} records were refused`);
          open.delete(call);
        });
        open.add(call);
        if (open.size >= 4) await Promise.race(open);
      }
      await Promise.all(open);
    });
    client.destroy();
  },

  async consume() {
    const { Consumer } = await binding();
    const read = async (of, as, count) => {
      const h = new Handled(count);
      const c = new Consumer(of, as, (r) => h.handle(r.data), { store: 'memory' });
      await h.all;
      return [c, h];
    };
    await (await read(warmStream, warmGroup, warm))[0].close();
    mark('begin');
    const [c, h] = await read(stream, group, records);
    mark('end');
    await done(h.told());
    await c.close();
  },

  async lines() {
    let h;
    for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
      const m = JSON.parse(line);
      if (m.action === 'initialize') h = new Handled(records);
      else if (m.action === 'processRecords') for (const r of m.records) h.handle(Buffer.from(r.data, 'base64'));
      say(JSON.stringify({ action: 'status', responseFor: m.action }));
    }
    say(JSON.stringify(h.told()));
  },

  async latency() {
    const { Producer } = await binding();
    const p = new Producer(stream, { linger: 0 });
    const micros = [];
    for (let i = 0; i < records; i++) {
      if (i === warm) mark('begin');
      const began = performance.now();
      await p.send(key(i), payload(i));
      micros.push((performance.now() - began) * 1000);
    }
    mark('end');
    await done({ micros: micros.slice(warm) });
    await p.close();
  },

  async idle() {
    const { Producer, Consumer } = await binding();
    const p = new Producer(stream);
    const h = new Handled(1);
    const c = new Consumer(stream, 'idle', (r) => h.handle(r.data), { store: 'memory' });
    mark('begin');
    await p.send(key(0), payload(0));
    await h.all;
    mark('end');
    await done(h.told());
    await c.close();
    await p.close();
  },
};

await roles[role]();
