// Loaded before a server that listens on every address: it then listens on
// loopback only, and says where on a line of its own.
'use strict';
const net = require('net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  this.once('listening', () => console.log(`listening on ${this.address().address}:${this.address().port}`));
  if (args[0] !== null && typeof args[0] === 'object') {
    return listen.call(this, { ...args[0], host: '127.0.0.1' }, ...args.slice(1));
  }
  const rest = args.filter((a) => typeof a === 'function');
  return listen.call(this, { port: Number(args[0]) || 0, host: '127.0.0.1' }, ...rest);
};
