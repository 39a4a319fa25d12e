// Does what scenarios say, with the JavaScript package. See ../README.md.
import fs from 'node:fs';
import readline from 'node:readline';

const { Producer, Consumer, VegasError, testing } = await import(process.env.VEGAS_BINDING ?? 'libvegas');

const things = new Map();
const positions = new Map();
const say = (message) => {
  let line = Buffer.from(`${JSON.stringify(message)}\n`);
  while (line.length > 0) {
    try {
      line = line.subarray(fs.writeSync(1, line));
    } catch (e) {
      if (e.code !== 'EAGAIN') throw e;
    }
  }
};

const failed = (e) => (e instanceof VegasError
  ? { code: e.code, text: e.text ?? e.message, remedy: e.remedy ?? '', unknown: Boolean(e.unknown), class: e.constructor.name }
  : { code: 'own', text: `${e?.name}: ${e?.message}`, class: e?.constructor?.name });

const camel = (name) => name.replace(/_([a-z])/g, (_, c) => c.toUpperCase());
const options = (given) => Object.fromEntries(given.map((o) => [camel(o.name), o.type === 'duration' ? o.value / 1000 : o.value]));

const payload = (r) => {
  if (r.data !== undefined) return r.data;
  const b = Buffer.alloc(r.size);
  for (let i = 0; i < b.length; i++) b[i] = i % 251;
  return b;
};

const receipt = (r) => ({ shard: r.shard, sequence: r.sequence, sub: r.subSequence, durable: r.durable });
const ended = (promise) => promise.then(receipt, (e) => ({ error: failed(e) }));

const table = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  table[n] = c >>> 0;
}
const crc32 = (b) => {
  let c = 0xffffffff;
  for (let i = 0; i < b.length; i++) c = table[(c ^ b[i]) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
};

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const verbs = {
  async producer(c) {
    const p = new Producer(c.stream, options(c.options));
    things.set(c.as, p);
    await p.stats(); // it opens in the background
  },

  async send(c) {
    const p = things.get(c.to);
    const promises = c.records.map((r) => p.send(r.key, payload(r), { headers: r.headers, explicitHashKey: r.hash_key }));
    if (c.wait === false) return {};
    return { results: await Promise.all(promises.map(ended)) };
  },

  async many(c) {
    const p = things.get(c.to);
    const { count, keys = 1, size = 0, from = 0, prefix = '', wait = true, tell = false } = c;
    const wrong = [];
    const promises = [];
    for (let n = from; n < from + count; n++) {
      await p.ready();
      const sent = p.send(`${prefix}key-${n % keys}`, `${prefix}${n}`.padEnd(size, '.'));
      if (!wait && !tell) continue;
      promises.push(sent.then(() => {
        if (tell) say({ event: 'sent', of: c.to, number: n });
      }, (e) => {
        if (tell) say({ event: 'sent', of: c.to, number: n, error: failed(e) });
        wrong.push({ number: n, error: failed(e) });
      }));
    }
    if (!wait) return {};
    await Promise.all(promises);
    return { ok: count - wrong.length, failed: wrong };
  },

  async misuse(c) {
    const p = things.get(c.to);
    switch (c.what) {
      case 'data_no_bytes': return { results: [receipt(await p.send('key', 42))] };
      case 'key_no_text': return { results: [receipt(await p.send(17, 'x'))] };
      case 'key_not_utf8': return { results: [receipt(await p.send('\udc80key', 'x'))] };
      default: throw new Error(c.what);
    }
  },

  async consumer(c) {
    const { behave = {}, as: name } = c;
    const given = options(c.options);
    const state = { kept: new Map(), handled: 0 };
    state.free = new Promise((resolve) => { state.release = resolve; });
    const tell = (r, more) => {
      const b = r.data;
      let printable = b.length <= 1024;
      for (let i = 0; printable && i < b.length; i++) printable = b[i] >= 32 && b[i] < 127;
      say({
        event: 'record', of: name, key: r.partitionKey, shard: r.shard, sequence: r.sequence, sub: r.subSequence,
        attempt: r.attempt, aggregated: r.aggregated, hash_key: r.explicitHashKey, headers: [...r.headers],
        ...(printable ? { data: b.toString('latin1') } : { size: b.length, crc: crc32(b) }), ...more,
      });
    };
    const act = async (r) => {
      const text = r.data.subarray(0, 1024).toString();
      if (behave.keep) state.kept.set(text.replace(/\.+$/, ''), r);
      if (behave.die !== undefined && text.startsWith(behave.die)) process.kill(process.pid, 'SIGKILL');
      if (behave.hold !== undefined && text.startsWith(behave.hold)) await state.free;
      if (behave.pause) await pause(behave.pause);
      if (behave.fail !== undefined && text.startsWith(behave.fail) && (!behave.times || r.attempt <= behave.times)) {
        throw new TypeError(`cannot handle ${text}`);
      }
      if (behave.checkpoint_every && ++state.handled % behave.checkpoint_every === 0) await things.get(name).checkpoint(r);
      positions.set(r.shard, { sequence: r.sequence, subSequence: r.subSequence });
    };
    if (given.deadLetter) given.deadLetter = (r, e) => tell(r, { event: 'dead', text: e.message });
    if (given.external) {
      given.external = (shard) => {
        say({ event: 'start', of: name, shard: shard.id, possession: Number(shard.possession) });
        return positions.get(shard.id);
      };
    }
    if (given.onStats) given.onStats = (stats) => say({ event: 'stats', of: name, stats });
    const handler = given.batch
      ? async (rs) => {
        for (const r of rs) tell(r, { batch: rs.length });
        for (const r of rs) await act(r);
      }
      : (r) => {
        tell(r);
        return act(r);
      };
    const consumer = new Consumer(c.stream, c.group, handler, given);
    things.set(name, consumer);
    things.set(`${name} state`, state);
    // What a program would see where it waits.
    state.waits = consumer.wait();
    state.waits.catch(() => {});
    await consumer.stats(); // it opens in the background
  },

  release(c) {
    things.get(`${c.of} state`).release();
  },

  checkpoint(c) {
    return things.get(c.of).checkpoint(things.get(`${c.of} state`).kept.get(c.data));
  },

  async wait(c) {
    const { waits } = things.get(`${c.of} state`);
    if (c.limit === undefined) {
      await waits;
      return { ended: true };
    }
    return { ended: await Promise.race([waits.then(() => true), pause(c.limit).then(() => false)]) };
  },

  async flush(c) {
    await things.get(c.of).flush({ timeout: c.limit });
  },

  async close(c) {
    await things.get(c.of).close({ timeout: c.limit });
  },

  check: (c) => things.get(c.of).check(),

  async stats(c) {
    return { stats: await things.get(c.of).stats() };
  },

  async local(c) {
    const local = await testing.LocalKinesis.start({ streams: c.streams });
    things.set(c.as, local);
    return { endpoint: local.endpoint };
  },
};

const commands = process.env.VEGAS_SCENARIO_COMMANDS ? fs.createReadStream(process.env.VEGAS_SCENARIO_COMMANDS) : process.stdin;
const lines = readline.createInterface({ input: commands });
lines.on('line', async (line) => {
  const c = JSON.parse(line);
  if (c.do === 'exit') { // nothing holds the process any more but what libvegas has open
    lines.close();
    commands.destroy();
    return;
  }
  let result;
  try {
    result = await verbs[c.do](c) ?? {};
  } catch (e) {
    result = { error: failed(e) };
  }
  say({ id: c.id, ...result });
});
