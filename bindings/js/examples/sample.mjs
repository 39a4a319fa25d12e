import { Producer, Consumer } from 'libvegas';

const p = new Producer('stream-name');
p.send('partition-key', 'message');

function processRecord(r) {
  console.log(r.partitionKey + ':' + r.data.toString());
}

const c = new Consumer('stream-name', 'efo-arn', processRecord); // group name or EFO consumer ARN; runs at once
console.log('Consumer is running. Press ctrl+c to stop');
