// Loaded with `node --import` before a program: its server listens on a free port, and sends it to the parent process.
import { Server } from 'node:net'

const { listen } = Server.prototype
Server.prototype.listen = function (options, ...more) {
  this.once('listening', () => process.send(this.address().port))
  return listen.call(this, { ...options, port: 0 }, ...more)
}
