const MAX_LENGTH = 256

/** A User-Agent header without control characters, which Node accepts and a log or a page might not; null where there is none. */
export function readUserAgent (header: string | undefined): string | null {
  return header === undefined ? null : header.replace(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_LENGTH)
}

/**
 * Whether two User-Agent headers can be the same browser on the same machine, now and after an update:
 * they are compared without their version numbers.
 */
export function isSameUserAgent (one: string | null, other: string | null): boolean {
  return familyOf(one) === familyOf(other)
}

function familyOf (userAgent: string | null): string {
  return (userAgent ?? '').replace(/\d[\d._]*/g, '')
}
