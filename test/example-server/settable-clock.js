// Loaded with `node --import` before a program: its clock moves ahead by the milliseconds that its parent sends.
const now = Date.now
let ahead = 0
Date.now = () => now() + ahead
process.on('message', milliseconds => {
  ahead += milliseconds
  process.send('done')
})
process.channel.unref()
process.once('disconnect', () => process.exit()) // its parent was killed
