/** The messages between tabs, under the control of a test. */
export interface FakeChannels {
  /** The class that replaces BroadcastChannel. */
  readonly Channel: new (name: string) => FakeChannel
  /** Every message so far. */
  readonly messages: unknown[]
  /** The delay of a message, in milliseconds. */
  delay: number
}

export interface FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null
  postMessage (data: unknown): void
  close (): void
  /** True if its page is in the back/forward cache: then messages are lost. */
  frozen: boolean
  readonly isClosed: boolean
}

/** Channels that send a copy of a message to all other channels of the same name, as browsers do. */
export function fakeChannels (): FakeChannels {
  const open = new Set<FakeChannel & { readonly name: string }>()
  const channels: FakeChannels = {
    messages: [],
    delay: 0,
    Channel: class implements FakeChannel {
      onmessage: FakeChannel['onmessage'] = null
      frozen = false
      readonly name: string

      constructor (name: string) {
        this.name = name
        open.add(this)
      }

      get isClosed (): boolean { return !open.has(this) }

      postMessage (data: unknown) {
        if (this.isClosed) throw new DOMException('The channel is closed', 'InvalidStateError')
        channels.messages.push(data)
        for (const other of open) {
          if (other !== this && other.name === this.name) deliver(other, structuredClone(data))
        }
      }

      close () { open.delete(this) }
    }
  }
  return channels

  function deliver (channel: FakeChannel, data: unknown): void {
    const arrive = (): void => {
      if (!channel.frozen && !channel.isClosed) channel.onmessage?.({ data })
    }
    if (channels.delay > 0) setTimeout(arrive, channels.delay)
    else queueMicrotask(arrive)
  }
}
