type Options = Pick<LockOptions, 'ifAvailable' | 'signal' | 'steal'>
type Work = (lock: object | null) => unknown

/** The parts of Web Locks that the client uses, shared by all tabs of a browser. */
export interface FakeLocks {
  request (name: string, options: Options, work: Work): Promise<unknown>
  /** The options of all requests so far. */
  readonly requests: Options[]
}

/** Grants locks in the order of the requests, each in a task of its own. */
export function fakeLocks (): FakeLocks {
  const queues = new Map<string, Array<() => void>>()
  const requests: Options[] = []

  return {
    requests,
    async request (name, options, work) {
      requests.push(options)
      const queue = queues.get(name)
      if (queue === undefined) queues.set(name, [])
      else if (options.ifAvailable) return work(null)
      else await turn(queue, options.signal)
      try {
        return await work({ name })
      } finally {
        const next = queues.get(name)?.shift()
        if (next === undefined) queues.delete(name)
        else setImmediate(next)
      }
    }
  }
}

function turn (queue: Array<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    queue.push(resolve)
    signal?.addEventListener('abort', () => {
      queue.splice(queue.indexOf(resolve), 1)
      reject(signal.reason)
    })
  })
}
