// The npm package aws-kinesis-agg on both sides: JSON in, JSON out, as in
// ../py/aggregates.py.
'use strict';
const fs = require('fs');
const agg = require('aws-kinesis-agg');

const inp = JSON.parse(fs.readFileSync(0));

function decode(data) {
  let out;
  agg.deaggregateSync({ partitionKey: 'a', sequenceNumber: '7', data }, true, (err, records) => {
    if (err) throw err;
    out = records;
  });
  return out.map((r) => ({
    key: r.partitionKey,
    hash_key: r.explicitPartitionKey || '',
    data: Buffer.from(r.data, 'base64').toString('base64'),
    aggregated: r.subSequenceNumber !== undefined,
  }));
}

function encode(records) {
  const a = new agg.RecordAggregator();
  for (const r of records) {
    a.addUserRecord({ partitionKey: r.key, explicitHashKey: r.hash_key || undefined, data: Buffer.from(r.data, 'base64') });
  }
  const e = a.build();
  return { key: e.partitionKey, hash_key: e.ExplicitHashKey || '', data: e.data.toString('base64') };
}

process.stdout.write(JSON.stringify({ decoded: inp.decode.map(decode), encoded: inp.encode.map(encode) }));
