/**
 * What a reload has to know, and all that is ever stored: 'out', so that a signed-out person's page need not ask the
 * server, or 'leaving', a logout that the server has not heard of, so that its cookie would sign in again.
 */
export type Hint = 'out' | 'leaving'

/** Reads the hint of that name, or with `next` writes it, as far as the browser grants storage and has room. */
export function hint (name: string, next?: Hint | ''): string | void {
  try {
    if (next !== undefined) localStorage[name] = next
    return localStorage[name]
  } catch {
    // A reload then asks the server.
  }
}
