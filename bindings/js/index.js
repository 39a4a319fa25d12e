'use strict';
// Send to and receive from Amazon Kinesis Data Streams.

const { Producer } = require('./lib/producer.js');
const { Consumer } = require('./lib/consumer.js');
const { Record, Headers } = require('./lib/record.js');
const { Shard } = require('./lib/shard.js');
const { Receipt } = require('./lib/sent.js');
const { VegasError, ERRORS } = require('./lib/spec.js');
const { setLogger } = require('./lib/log.js');
const testing = require('./lib/testing.js');

module.exports = { Producer, Consumer, Record, Receipt, Headers, Shard, VegasError, setLogger, testing };
for (const C of Object.values(ERRORS)) module.exports[C.name] = C;
