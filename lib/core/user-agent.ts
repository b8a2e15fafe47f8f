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
