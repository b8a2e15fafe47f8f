type Options = Pick<LockOptions, 'ifAvailable' | 'signal' | 'steal'>
type Work = (lock: object | null) => unknown

/** Web Locks as far as the client needs them, shared by all tabs of a browser. */
export interface FakeLocks {
  request (name: string, options: Options, work: Work): Promise<unknown>
  /** The options of all requests so far. */
  readonly asked: Options[]
}

/** Locks that are granted in the order of their requests, each in its own task. */
export function fakeLocks (): FakeLocks {
  const queues = new Map<string, Array<() => void>>()
  const asked: Options[] = []

  return {
    asked,
    async request (name, options, work) {
      asked.push(options)
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
