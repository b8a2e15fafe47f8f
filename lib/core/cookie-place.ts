/** Where a cookie is valid: with its name, what makes two cookies of a browser different ones. */
export interface CookiePlace {
  readonly name: string
  readonly path: string
  readonly domain: string | undefined
  readonly partitioned: boolean
}

/** Whether a cookie is valid on all of one host and nowhere else, as the prefix `__Host-` demands (RFC 6265bis section 4.1.3.2). */
export function isHostOnly ({ path, domain }: Pick<CookiePlace, 'path' | 'domain'>): boolean {
  return path === '/' && domain === undefined
}

/** Whether both are one cookie to a browser, so that to clear one is to clear the other. */
export function isSamePlace (one: CookiePlace, other: CookiePlace): boolean {
  return one.name === other.name && one.path === other.path && one.domain === other.domain && one.partitioned === other.partitioned
}
