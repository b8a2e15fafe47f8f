/** The signature of the platform's fetch. */
export type Fetch = (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>

/** How a client behaves; everything is optional. */
export interface AuthClientOptions {
  /** Where the plugin's routes are, '/auth' by default; 'https://api.example.com/auth' for an API on another origin. */
  readonly prefix?: string | undefined
  /**
   * Seconds, 10 by default: a token with less left is renewed before it is used. Far less than a token lives, or every
   * request renews.
   */
  readonly leeway?: number | undefined
  /** Milliseconds to wait while another tab renews, 5000 by default; then this one goes on by itself. */
  readonly lockTimeout?: number | undefined
  /** Milliseconds until callers are told that no answer came, 15000 by default; the request itself is never aborted. */
  readonly timeout?: number | undefined
  /** Whether tabs hand each other their access token, as by default; if not, each gets its own. */
  readonly share?: boolean | undefined
  /** More headers for the requests to the plugin's routes. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What sends all requests, instead of the platform's fetch. */
  readonly fetch?: Fetch | undefined
}
