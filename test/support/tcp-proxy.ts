import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { type Test } from 'tap'

/** A proxy between a client and a server that a test can break. Each method resolves once it applies to all connections. */
export interface TcpProxy {
  /** Its port on 127.0.0.1. */
  readonly port: number
  /** The number of round trips: a client sent data after its server had. */
  turns (): number
  /** Forwards everything, including delayed data. */
  pass (): Promise<void>
  /** Delays everything by this many milliseconds, in both directions. */
  delay (ms: number): Promise<void>
  /** A black hole: connections stay open, and nothing is forwarded until `pass`. */
  hold (): Promise<void>
  /** Existing connections become permanent black holes; new ones work. */
  abandon (): Promise<void>
  /** Data of a client arrives; instead of the reply its connection is reset. */
  dropReplies (): Promise<void>
  /** A connection is reset when its client sends data, which does not arrive. */
  reset (): Promise<void>
  /** Connections are reset, and new ones are refused. */
  refuse (): Promise<void>
  /** Connections are reset, and new ones go to another server. */
  lead (to: NetConnectOpts): Promise<void>
}

/** The treatment of data before it is forwarded; false: it is dropped, and the connection is reset. */
type Rule = (from: 'client' | 'server') => Promise<boolean> | boolean

const forward: Rule = () => true
const never: Rule = () => new Promise(() => {})

interface Connection {
  readonly client: Socket
  readonly server: Socket
  /** The rule of this connection, if it differs from that of the proxy. */
  rule?: Rule
  /** The side that sent last. */
  last?: 'client' | 'server'
}

/** A proxy before a server, until `t` ends. */
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

  /** Holds data until the next rule, and then forwards it. */
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
    // In Node 20 a reset during a shutdown leaves a handle that is never closed: the process then spins at its exit.
    if (connection.client.writableEnded) connection.client.destroy()
    else connection.client.resetAndDestroy()
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
