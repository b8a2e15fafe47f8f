/** What every peer's process does: listens, sends its address, then its processor time whenever it is asked, and ends with its parent. */
export async function answer (listen) {
  process.send({ url: await listen() })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send({ cpu: (user + system) / 1e6 })
  })
  process.once('disconnect', () => process.exit(0))
}
