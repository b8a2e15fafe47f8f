import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

/** A free port of this machine below a limit. */
export async function freePort (limit = 65_536): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo // it listens on TCP
  listener.close()
  await once(listener, 'close')
  return port < limit ? port : await freePort(limit)
}
