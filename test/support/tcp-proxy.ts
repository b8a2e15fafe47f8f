import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { type Test } from 'tap'

/** A way between a client and a server that a test can break. Each method resolves once it holds for all connections. */
export interface TcpProxy {
  /** Where it listens, on 127.0.0.1, for as long as the test lasts. */
  readonly port: number
  /** How often a client had something to say after its server had spoken. */
  turns (): number
  /** Everything arrives, and what was held back too. */
  pass (): Promise<void>
  /** Everything arrives so many milliseconds later, in both directions. */
  delay (ms: number): Promise<void>
  /** A black hole: connections stay open, and nothing arrives until `pass`. */
  hold (): Promise<void>
  /** The connections that there are have become black holes for ever; new ones are good. */
  abandon (): Promise<void>
  /** What a client sends arrives; instead of the answer its connection is reset. */
  dropReplies (): Promise<void>
  /** A connection is reset when its client sends something, which does not arrive. */
  reset (): Promise<void>
  /** Connections are reset, and nobody listens. */
  refuse (): Promise<void>
  /** Connections are reset, and new ones lead to another server. */
  lead (to: NetConnectOpts): Promise<void>
}

/** What happens to a piece of data before it arrives; false: it does not, and its connection is reset. */
type Rule = (from: 'client' | 'server') => Promise<boolean> | boolean

const forward: Rule = () => true
const never: Rule = () => new Promise(() => {})

interface Connection {
  readonly client: Socket
  readonly server: Socket
  /** Its own, where it is not that of the proxy. */
  rule?: Rule
  /** Who spoke last. */
  last?: 'client' | 'server'
}

/** A proxy before a server, which ends with `t`. */
export async function tcpProxy (t: Test, to: NetConnectOpts): Promise<TcpProxy> {
  const connections = new Set<Connection>()
  let rule = forward
  let release = (): void => {}
  let turns = 0
  const listener = createServer({ allowHalfOpen: true }, client => join({ client, server: connect({ ...to, allowHalfOpen: true }) }))
  const port = await listen(listener, 0)
  t.teardown(close)

  return {
    port,
    turns: () => turns,
    pass: () => become(forward),
    delay: ms => become(async () => await setTimeout(ms, true, { ref: false })),
    async hold () {
      await become(forward)
      rule = hold()
    },
    async abandon () {
      for (const connection of connections) connection.rule = never
      await become(forward)
    },
    dropReplies: () => become(from => from === 'client'),
    reset: () => become(() => false),
    refuse: close,
    async lead (other) {
      to = other
      for (const connection of connections) end(connection)
    }
  }

  async function become (next: Rule): Promise<void> {
    rule = next
    release()
    if (!listener.listening) await listen(listener, port)
  }

  /** Holds pieces until the next rule, and then lets them pass. */
  function hold (): Rule {
    const over = new Promise<boolean>(resolve => { release = () => resolve(true) })
    return () => over
  }

  function join (connection: Connection): void {
    const { client, server } = connection
    connections.add(connection)
    carry('client', client, server)
    carry('server', server, client)

    function carry (side: 'client' | 'server', from: Socket, into: Socket): void {
      let before = Promise.resolve() // pieces arrive in their order
      from.on('data', piece => {
        if (side === 'client' && connection.last !== 'client') turns++
        connection.last = side
        pass(() => into.write(piece))
      })
      from.on('end', () => pass(() => into.end()))
      from.on('error', () => {}) // it closes after that
      from.on('close', () => before.then(() => end(connection)))

      function pass (arrive: () => void): void {
        const passes = (connection.rule ?? rule)(side)
        before = before.then(async () => {
          if (await passes) arrive()
          else end(connection)
        })
      }
    }
  }

  function end (connection: Connection): void {
    connections.delete(connection)
    connection.client.resetAndDestroy()
    connection.server.destroy()
  }

  async function close (): Promise<void> {
    const closed = listener.listening ? once(listener, 'close') : undefined
    listener.close()
    for (const connection of connections) end(connection)
    await closed
  }
}

async function listen (listener: Server, port: number): Promise<number> {
  listener.listen(port, '127.0.0.1')
  await once(listener, 'listening')
  return (listener.address() as AddressInfo).port // it listens on TCP
}
