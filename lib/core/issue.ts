import { accessClaims, refreshClaims, type AccessClaims, type AccessPolicy, type AppClaims } from './claims.js'
import { type Session } from './session.js'
import { type EpochSeconds, type Seconds } from './time.js'
import { type Tokens } from './tokens.js'

/** A refresh token and how long a browser keeps it. */
export interface IssuedRefreshToken {
  readonly value: string
  /** Until the token expires; null where the cookie ends with the browser. */
  readonly maxAge: Seconds | null
  /** When it expires. */
  readonly expiresAt: EpochSeconds
}

/** What a login or a refresh gives. */
export interface Issued {
  readonly accessToken: string
  readonly claims: AccessClaims
  /** Seconds until the access token expires. */
  readonly expiresIn: Seconds
  /** Null where the client already has the live one (hold): a re-sent cookie could overwrite a newer one. */
  readonly refreshToken: IssuedRefreshToken | null
}

/** Makes the tokens of sessions. */
export interface Issuer {
  /** A new access token for a session, with the app's claims. */
  access (session: Session, app: AppClaims, at: EpochSeconds): Omit<Issued, 'refreshToken'>
  /** The refresh token of a session as it stands: the same state signs to the same token. A login says what it `replaces`. */
  refresh (session: Session, remember: boolean, at: EpochSeconds, replaces?: string | null): IssuedRefreshToken
}

/** Builds what signs tokens and tells their lifetimes. */
export function createIssuer (tokens: Tokens, policy: AccessPolicy): Issuer {
  return {
    access (session, app, at) {
      const claims = accessClaims(session, app, policy, at)
      return { accessToken: tokens.signAccess(claims), claims, expiresIn: claims.exp - at }
    },

    refresh (session, remember, at, replaces) {
      const claims = refreshClaims(session, remember, replaces)
      return { value: tokens.signRefresh(claims), maxAge: remember ? claims.exp - at : null, expiresAt: claims.exp }
    }
  }
}
