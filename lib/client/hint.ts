/**
 * What a reload has to know, and all that is ever stored: 'out', so that a signed-out person's page need not ask the
 * server, or 'leaving', a logout that the server has not heard of, so that its cookie would sign in again.
 */
export type Hint = 'out' | 'leaving'

/** The hint of that name; nothing where there is none, or where the browser grants no storage. */
export function recall (name: string): string | undefined {
  try {
    return localStorage[name]
  } catch {
    return undefined
  }
}

/** Replaces the hint of that name, as far as the browser grants storage and has room. */
export function remember (name: string, hint: Hint | ''): void {
  try {
    localStorage[name] = hint
  } catch {
    // A reload then asks the server.
  }
}
