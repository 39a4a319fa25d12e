// The scenario of scenario_test.go, played by the AWS SDK for JavaScript v3:
// JSON in, JSON out.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const k = require('@aws-sdk/client-kinesis');
const { NodeHttpHandler } = require('@smithy/node-http-handler');

const inp = JSON.parse(fs.readFileSync(0));
const StreamName = inp.stream;
const client = new k.KinesisClient({
  endpoint: inp.endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'AKIDPEER', secretAccessKey: 'peer' },
  // The SDK's own choice for Kinesis is HTTP/2, on http:// too.
  ...(inp.http2 ? {} : { requestHandler: new NodeHttpHandler() }),
});
const call = (Command, input) => client.send(new Command(input));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, check, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`timed out: ${what}`);
    await pause(100);
  }
}

function within(what, promise, seconds = 30) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`timed out: ${what}`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const active = () =>
  until('stream active', async () => {
    const s = (await call(k.DescribeStreamSummaryCommand, { StreamName })).StreamDescriptionSummary;
    return s.StreamStatus === 'ACTIVE' && s;
  });

const shard = (s) => ({
  id: s.ShardId,
  first: s.HashKeyRange.StartingHashKey,
  last: s.HashKeyRange.EndingHashKey,
  parents: s.ParentShards || [s.ParentShardId, s.AdjacentParentShardId].filter(Boolean),
});
const shards = async () => (await call(k.ListShardsCommand, { StreamName })).Shards.map(shard);

const record = (r) => ({
  sequence: r.SequenceNumber,
  key: r.PartitionKey,
  bytes: r.Data.length,
  md5: crypto.createHash('md5').update(r.Data).digest('hex'),
  arrival_ms: r.ApproximateArrivalTimestamp.getTime(),
});

const entry = (r) => ({
  PartitionKey: r.key,
  Data: Buffer.from(r.data, 'base64'),
  ...(r.hash_key ? { ExplicitHashKey: r.hash_key } : {}),
});

const last = new Map(); // key -> sequence number
async function put(r) {
  const a = await call(k.PutRecordCommand, { StreamName, ...entry(r), SequenceNumberForOrdering: last.get(r.key) });
  last.set(r.key, a.SequenceNumber);
  return { shard: a.ShardId, sequence: a.SequenceNumber };
}
async function putAll(rs) {
  const out = [];
  for (const r of rs) out.push(await put(r));
  return out;
}

// All records of a shard up to its tip or end.
async function poll(ShardId, iterator) {
  let it = (await call(k.GetShardIteratorCommand, { StreamName, ShardId, ...iterator })).ShardIterator;
  const out = { records: [], ended: false, children: [] };
  for (;;) {
    const a = await call(k.GetRecordsCommand, { ShardIterator: it, Limit: 1000 });
    out.records.push(...a.Records.map(record));
    out.children = (a.ChildShards || []).map(shard);
    it = a.NextShardIterator;
    if (!it) return { ...out, ended: true };
    if (a.Records.length === 0 && a.MillisBehindLatest === 0) return out;
    await pause(210); // five reads a second and shard
  }
}

// Reads a shard by fan-out until it ends, or until so many records came.
// {first, all}: promises of the first record and of everything.
function subscribe(ConsumerARN, ShardId, StartingPosition, count) {
  let first;
  const sub = { first: new Promise((done) => (first = done)) };
  sub.all = within(`fan-out of ${ShardId}`, (async () => {
    const out = { records: [], ended: false, children: [] };
    const a = await call(k.SubscribeToShardCommand, { ConsumerARN, ShardId, StartingPosition });
    for await (const event of a.EventStream) {
      const e = event.SubscribeToShardEvent;
      out.records.push(...e.Records.map(record));
      out.children.push(...(e.ChildShards || []).map(shard));
      if (out.records.length > 0) first();
      if (count && out.records.length >= count) return out;
    }
    out.ended = true;
    return out;
  })());
  sub.first = Promise.race([sub.first, sub.all]);
  return sub;
}

async function code(promise) {
  try {
    await promise;
    return '';
  } catch (e) {
    return e.name;
  }
}

async function main() {
  const out = {};
  await call(k.CreateStreamCommand, { StreamName, ShardCount: 2 });
  const s = await active();
  out.arn = s.StreamARN;
  out.open_shards = s.OpenShardCount;
  out.retention_hours = s.RetentionPeriodHours;
  out.shards = await shards();
  out.described = (await call(k.DescribeStreamCommand, { StreamName })).StreamDescription.Shards.map(shard);
  await call(k.AddTagsToStreamCommand, { StreamName, Tags: inp.tags });
  const tags = (await call(k.ListTagsForStreamCommand, { StreamName })).Tags;
  out.tags = Object.fromEntries(tags.map((t) => [t.Key, t.Value || '']));
  await call(k.IncreaseStreamRetentionPeriodCommand, { StreamName, RetentionPeriodHours: 48 });
  out.retention_raised_hours = (await active()).RetentionPeriodHours;
  out.listed = (await call(k.ListStreamsCommand, {})).StreamNames.includes(StreamName);

  const consumer = (await call(k.RegisterStreamConsumerCommand, { StreamARN: out.arn, ConsumerName: 'reader' })).Consumer.ConsumerARN;
  await until('consumer active', async () =>
    (await call(k.DescribeStreamConsumerCommand, { ConsumerARN: consumer })).ConsumerDescription.ConsumerStatus === 'ACTIVE');
  out.consumer = consumer;
  out.consumers = (await call(k.ListStreamConsumersCommand, { StreamARN: out.arn })).Consumers.map((c) => c.ConsumerName);

  const a = await call(k.PutRecordsCommand, { StreamName, Records: inp.batch.map(entry) });
  out.failed = a.FailedRecordCount;
  out.batch = a.Records.map((r) => ({ shard: r.ShardId || '', sequence: r.SequenceNumber || '' }));
  out.puts = await putAll(inp.puts);

  const [left, right] = out.shards.map((s) => s.id);
  const horizon = { ShardIteratorType: 'TRIM_HORIZON' };
  out.polled = { [left]: await poll(left, horizon), [right]: await poll(right, horizon) };
  const second = out.polled[left].records[1];
  const sequence = { StartingSequenceNumber: second.sequence };
  out.at = await poll(left, { ShardIteratorType: 'AT_SEQUENCE_NUMBER', ...sequence });
  out.after = await poll(left, { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', ...sequence });
  out.at_time = await poll(left, { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(second.arrival_ms) });
  out.latest = await poll(left, { ShardIteratorType: 'LATEST' });

  const position = { Type: 'TRIM_HORIZON' };
  const sub = subscribe(consumer, left, position);
  await sub.first;
  await call(k.SplitShardCommand, { StreamName, ShardToSplit: left, NewStartingHashKey: inp.split_at });
  out.fanned = { [left]: await sub.all };
  await active();
  out.shards_split = await shards();
  out.after_split = await putAll(inp.after_split);
  const [x, y] = out.shards_split.filter((s) => s.parents.includes(left)).map((s) => s.id);
  const subs = [x, y].map((id) => subscribe(consumer, id, position));
  await Promise.all(subs.map((s) => s.first));
  await call(k.MergeShardsCommand, { StreamName, ShardToMerge: x, AdjacentShardToMerge: y });
  [out.fanned[x], out.fanned[y]] = await Promise.all(subs.map((s) => s.all));
  await active();
  out.shards_merged = await shards();
  out.after_merge = await putAll(inp.after_merge);
  const merged = out.shards_merged.find((s) => s.parents.includes(x) && s.parents.includes(y)).id;
  const from = { Type: 'AT_SEQUENCE_NUMBER', SequenceNumber: out.after_merge[0].sequence };
  out.fanned[merged] = await subscribe(consumer, merged, from, inp.after_merge.length).all;
  out.closed = await poll(left, horizon);

  const missing = `${StreamName}-missing`;
  out.errors = {
    'describe missing stream': await code(call(k.DescribeStreamSummaryCommand, { StreamName: missing })),
    'put to missing stream': await code(call(k.PutRecordCommand, { StreamName: missing, PartitionKey: 'k', Data: Buffer.from('x') })),
    'create it again': await code(call(k.CreateStreamCommand, { StreamName, ShardCount: 1 })),
    'made-up iterator': await code(call(k.GetRecordsCommand, { ShardIterator: 'made-up' })),
    'key too long': await code(call(k.PutRecordCommand, { StreamName, PartitionKey: 'k'.repeat(257), Data: Buffer.from('x') })),
    'split at the edge': await code(call(k.SplitShardCommand, { StreamName, ShardToSplit: right, NewStartingHashKey: out.shards[1].first })),
    'subscribe unknown consumer': await code(
      call(k.SubscribeToShardCommand, { ConsumerARN: consumer.replace('reader', 'nobody'), ShardId: right, StartingPosition: position })),
  };
  await call(k.DeregisterStreamConsumerCommand, { ConsumerARN: consumer });
  await call(k.DeleteStreamCommand, { StreamName, EnforceConsumerDeletion: true });
  out.gone = await until('stream gone', () => code(call(k.DescribeStreamSummaryCommand, { StreamName })));
  return out;
}

main().then(
  (out) => {
    client.destroy();
    process.stdout.write(JSON.stringify(out));
  },
  (e) => {
    console.error(e);
    process.exit(1);
  },
);
