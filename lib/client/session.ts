/** The claims of the server's access tokens; an app that adds its own extends this. */
export interface AccessClaims {
  readonly sub: string
  readonly sid: string
  readonly jti: string
  /** Seconds since 1970 by the server's clock, as `exp` and `auth_time`. */
  readonly iat: number
  readonly exp: number
  readonly auth_time: number
  readonly iss?: string
  readonly aud?: string | readonly string[]
}

/** Who is signed in, and the token for it: in memory, never in storage. */
export interface Session<Claims> {
  readonly claims: Claims
  /** Missing in a tab that was told of a login but not of its token. */
  readonly token?: string
  /** When the token ends, as Date.now() counts; 0 where it must not be used any more. */
  expiresAt: number
}

/** The payload of a JWT, unverified: it came from the server, and nobody else relies on it. Rejects if it is none. */
export function readClaims<Claims> (token: string): Promise<Claims> {
  const bytes = atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))
  // A Response reads JSON from UTF-8, which atob alone does not.
  return new Response(Uint8Array.from(bytes, byte => byte.charCodeAt(0))).json()
}
