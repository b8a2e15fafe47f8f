/** The deployment under examination. */
export interface Target {
  /** The public URL of the plugin's routes, without a slash at its end. */
  readonly base: string
  /** The public path of the routes. */
  readonly path: string
  /** The origin of the pages that use it. */
  readonly page: string
  /** The pages have the origin of the routes. */
  readonly isSameOrigin: boolean
}

/** A test account. */
export interface Account {
  readonly username: string
  readonly password: string
  /** The name of the username in a login, `usernameField` of the options. */
  readonly field: string
}

/** The headers that a browser sends with a POST of the page. */
export function browserHeaders ({ page, isSameOrigin }: Target): Readonly<Record<string, string>> {
  return { origin: page, 'sec-fetch-site': isSameOrigin ? 'same-origin' : 'cross-site' }
}
