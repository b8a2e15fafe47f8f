import { type Test } from 'tap'
import { createAuthClient, type AccessClaims, type AuthClient, type AuthClientOptions } from '../../../lib/client/index.js'
import { fakeChannels, type FakeChannel, type FakeChannels } from './fake-channel.js'
import { fakeLocks, type FakeLocks } from './fake-locks.js'
import { fakeServer, ORIGIN, type FakeServer } from './fake-server.js'
import { fakeTime, replace, type FakeTime } from './fake-time.js'

/** The claims of the fake server's tokens. */
export interface Claims extends AccessClaims {
  readonly name: string
}

/** The client in a page. */
export type Tab = AuthClient<Claims>

/** A browser whose tabs share locks, messages, storage and cookies, and their server. */
export interface Browser {
  readonly server: FakeServer
  readonly time: FakeTime
  readonly locks: FakeLocks
  readonly channels: FakeChannels
  readonly storage: Record<string, string>
  /** Opens a page. */
  tab (options?: AuthClientOptions): Tab
  /** Opens a page in which somebody has logged in. */
  signedIn (options?: AuthClientOptions): Promise<Tab>
  /** Puts a page into the back/forward cache. */
  freeze (tab: Tab): void
  /** Shows a page: again if it comes out of the cache, else for the first time. */
  show (tab: Tab, persisted?: boolean): void
  /** The number of listeners that a page has on its window. */
  listeners (tab: Tab): number
}

type PageShow = (event: { persisted: boolean }) => void

/** Differences from a current browser. */
export interface Differences {
  /** False: an insecure context or an old browser. */
  readonly locks?: boolean
  /** False: the user has blocked storage for all sites. */
  readonly storage?: boolean
  readonly baseURI?: string
}

/** Replaces the globals of Node with those of a browser, until `t` ends. */
export function browser (t: Test, { locks: hasLocks = true, storage: hasStorage = true, baseURI = `${ORIGIN}/page` }: Differences = {}): Browser {
  const time = fakeTime(t)
  const server = fakeServer(time)
  const locks = fakeLocks()
  const channels = fakeChannels()
  const storage: Record<string, string> = {}
  const pages = new Map<Tab, { listeners: Set<PageShow>, channels: FakeChannel[] }>()
  let opened = { listeners: new Set<PageShow>(), channels: [] as FakeChannel[] }

  replace(t, globalThis, 'document', { baseURI })
  replace(t, globalThis, 'self', { origin: ORIGIN })
  replace(t, globalThis, 'navigator', { locks: hasLocks ? hasStorage ? locks : { request: async () => { throw insecure() } } : undefined })
  replace(t, globalThis, 'fetch', server.fetch)
  replace(t, globalThis, 'addEventListener', (_type: string, listener: PageShow) => { opened.listeners.add(listener) })
  replace(t, globalThis, 'removeEventListener', (_type: string, listener: PageShow) => {
    for (const page of pages.values()) page.listeners.delete(listener)
  })
  replace(t, globalThis, 'BroadcastChannel', class extends channels.Channel {
    constructor (name: string) {
      if (!hasStorage) throw insecure()
      super(name)
      opened.channels.push(this)
    }
  })
  replace(t, globalThis, 'localStorage', storage)
  if (!hasStorage) {
    Object.defineProperty(globalThis, 'localStorage', {
      configurable: true,
      get () { throw insecure() }
    })
  }

  const self: Browser = {
    server,
    time,
    locks,
    channels,
    storage,
    tab (options) {
      opened = { listeners: new Set(), channels: [] }
      const tab = createAuthClient<Claims>(options)
      pages.set(tab, opened)
      return tab
    },
    async signedIn (options) {
      const tab = self.tab(options)
      await tab.login({ username: 'ann', password: 'right' })
      return tab
    },
    freeze: tab => pages.get(tab)?.channels.forEach(channel => { channel.frozen = true }),
    show (tab, persisted = true) {
      pages.get(tab)?.channels.forEach(channel => { channel.frozen = false })
      pages.get(tab)?.listeners.forEach(listener => listener({ persisted }))
    },
    listeners: tab => pages.get(tab)?.listeners.size ?? 0
  }
  return self
}

/** A browser in which Ann is logged in. */
export async function signedIn (t: Test, differences?: Differences): Promise<Browser & { readonly ann: Tab }> {
  const opened = browser(t, differences)
  return { ...opened, ann: await opened.signedIn() }
}

/** The error of Firefox for storage, messages and locks if the user has blocked storage. */
function insecure (): DOMException {
  return new DOMException('The operation is insecure', 'SecurityError')
}
