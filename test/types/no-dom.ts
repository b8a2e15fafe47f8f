/** Compiled by `npm run typecheck`, never run: the server's code does not know the DOM, although lib/client is written for it. */

// @ts-expect-error: there is no page
export const page = document

// @ts-expect-error: there are no locks
export const locks: LockManager | null = null
