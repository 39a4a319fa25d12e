'use strict';
// LocalKinesis is a Kinesis server inside the engine, for tests.

const spec = require('./spec.js');
const { Engine } = require('./engine.js');

const { METHOD } = spec;

class LocalKinesis {
  #engine;
  #member;
  #number;
  #session;

  // start({streams: {orders: 4}, …}) runs until stop.
  static start(options = {}) {
    const { engine, ...args } = options;
    const local = new LocalKinesis();
    return new Promise((resolve, reject) => {
      local.#engine = Engine.of(engine);
      local.#member = {
        begin: (session) => {
          if (local.#session !== undefined) return; // its server has ended with the engine
          local.#session = session;
          session.call(METHOD.START_LOCAL, { local: local.#number, ...args }).then((a) => {
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
