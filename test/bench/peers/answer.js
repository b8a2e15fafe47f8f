/** Listens, sends the address, then the processor time on each request, and ends with the parent. */
export async function answer (listen) {
  process.send({ url: await listen() })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send({ cpu: (user + system) / 1e6 })
  })
  process.once('disconnect', () => process.exit(0))
}
