'use strict';
// LocalKinesis is a Kinesis server inside the engine, for tests.

const spec = require('./spec.js');
const options = require('./options.js');
const { Engine } = require('./engine.js');

const { METHOD } = spec;

const table = {
  streams: { wire: 'streams', type: (v) => (typeof v === 'object' && v !== null) || 'names of streams, or names with numbers of shards' },
  port: { wire: 'port', type: 'number' },
  recordBytes: { wire: 'record_bytes', type: 'size' },
  noLimits: { wire: 'no_limits', type: 'flag' },
  stateDelay: { wire: 'state_delay', type: 'duration' },
  engine: { type: 'text', host: true },
};

class LocalKinesis {
  #engine;
  #member;
  #number;
  #session;

  // start({streams: {orders: 4}, …}) runs until stop.
  static async start(given) {
    const { host, wire } = options.read('local server', table, {}, given);
    const local = new LocalKinesis();
    return new Promise((resolve, reject) => {
      local.#engine = Engine.of(host.engine);
      local.#member = {
        begin: (session) => {
          if (local.#session !== undefined) return; // its server has ended with the engine
          local.#session = session;
          session.call(METHOD.START_LOCAL, { local: local.#number, ...wire }).then((a) => {
            local.endpoint = a.endpoint;
            local.environment = { ...a.environment };
            resolve(local);
          }, reject);
        },
        lost: () => {},
        fatal: reject,
      };
      local.#number = local.#engine.join(local.#member);
    });
  }

  async stop() {
    this.#engine.leave(this.#member);
    if (!this.#session.ended) await this.#session.call(METHOD.STOP_LOCAL, { local: this.#number });
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.stop();
  }
}

module.exports = { LocalKinesis };
