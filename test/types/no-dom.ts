/** Compiled by `npm run typecheck`, never run: server code has no DOM types, although lib/client uses them. */

// @ts-expect-error: there is no page
export const page = document

// @ts-expect-error: there are no locks
export const locks: LockManager | null = null
