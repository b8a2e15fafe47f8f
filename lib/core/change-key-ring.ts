import { type Key, type KeyRing } from './keys.js'

/**
 * The ring to use once `next` was given in place of `current`. A new key verifies at once. It signs only when `isRipe`
 * says that every instance has had the time to read it: until then the old one goes on, as long as it is still there.
 * Without the old one, which is how a leaked key goes, the new one signs at once.
 *
 * Throws a TypeError where a `kid` means another key than before, or where the ring no longer signs, or now does.
 */
export function changeKeyRing (current: KeyRing, next: KeyRing, isRipe: (kid: string) => boolean): KeyRing {
  for (const [kid, key] of next.byKid) {
    const known = current.byKid.get(kid)
    if (known !== undefined && !isSameKey(known, key)) throw new TypeError('a kid means another key than before: give the new key a kid of its own')
  }
  if (current.signing === null && next.signing === null) return next
  if (current.signing === null || next.signing === null) throw new TypeError('a service that signs needs a key with use: \'sign\', and one that only verifies has none: to change that, restart it')
  const isKept = next.byKid.has(current.signing.kid)
  return isKept && !isRipe(next.signing.kid) ? { ...next, signing: current.signing } : next
}

/** Whether two rings have the same keys in the same roles. */
export function isSameRing (one: KeyRing, other: KeyRing): boolean {
  return one.signing?.kid === other.signing?.kid && one.unnamed?.kid === other.unnamed?.kid &&
    one.byKid.size === other.byKid.size && [...one.byKid.keys()].every(kid => other.byKid.has(kid))
}

function isSameKey (one: Key, other: Key): boolean {
  return one.algorithm === other.algorithm && one.verifies.equals(other.verifies)
}
