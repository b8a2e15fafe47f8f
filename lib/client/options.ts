/** The signature of the platform's fetch. */
export type Fetch = (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>

/** Everything is optional. */
export interface AuthClientOptions {
  /** Where the plugin's routes are: '/auth', or 'https://api.example.com/auth' for an API on another origin. */
  readonly prefix?: string
  /** Seconds: a token with less left is renewed before it is used. 10. */
  readonly leeway?: number
  /** Milliseconds to wait for another tab that is renewing, then go on without it. 5000. */
  readonly lockTimeout?: number
  /** Milliseconds until callers are told that no answer came; the request itself is never aborted. 15000. */
  readonly timeout?: number
  /** Whether the tabs of a browser hand each other their access token. False: each gets its own. */
  readonly share?: boolean
  /** More headers for the requests to the plugin's routes. */
  readonly headers?: Readonly<Record<string, string>>
  /** What sends requests instead of the platform's fetch. */
  readonly fetch?: Fetch
}
