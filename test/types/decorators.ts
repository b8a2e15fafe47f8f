/** Compiled by `npm run typecheck`, never run: the decorators of the app and of requests. */
import fastifyAuth from '@fastify/auth'
import { type FastifyInstance } from 'fastify'
import { AuthError, authenticate, authenticateOptional, authenticateStrict, authErrorCodes, refuseCrossSite, requireFreshLogin, type AccessClaims, type AuthenticateHook, type AuthErrorCode, type AuthHealth, type SessionView, type TokenResponse, type RequestAuth, type Session } from 'fastify-refresh-cookie'
import * as verifying from 'fastify-refresh-cookie/verifier'
import { assertType, type Same } from './same-type.js'

export function routes (app: FastifyInstance): void {
  app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => {
    assertType<Same<typeof auth, RequestAuth>>()
    assertType<Same<typeof auth.claims, AccessClaims>>()
    assertType<Same<typeof auth.claims.sub, string>>()
    assertType<Same<typeof auth.claims.iat, number>>()
    assertType<Same<typeof auth.claims['role'], unknown>>()
    // @ts-expect-error nobody becomes somebody else by an assignment
    auth.claims = { sub: 'root' }
    // @ts-expect-error nor by half of one
    auth.claims.sub = 'root'
    return { id: auth.claims.sub }
  })

  app.get('/maybe', { preHandler: app.authenticateOptional }, async ({ auth }) => {
    assertType<Same<typeof auth.claimsOrNull, AccessClaims | null>>()
    // @ts-expect-error without a token there are no claims
    if (auth.claimsOrNull.sub === 'root') return null
    return { id: auth.claimsOrNull?.sub ?? null }
  })
  app.get('/strict', { onRequest: [app.authenticateStrict] }, async () => 'ok')
  app.get('/fresh', { onRequest: app.requireFreshLogin('5m') }, async () => 'ok')
  // @ts-expect-error it makes a hook and is none
  app.get('/mistaken', { onRequest: app.requireFreshLogin }, async () => 'ok')
  // @ts-expect-error a duration without a unit
  app.requireFreshLogin('300')

  app.register(fastifyAuth).after(() => {
    app.get('/either', { preHandler: app.auth([app.authenticate, app.authenticateStrict, app.authenticateOptional]) }, async () => 'ok')
  })
  app.register(async scope => { scope.addHook('onRequest', scope.authenticate) })
  app.register(async scope => { scope.addHook('preHandler', scope.authenticateStrict) })
}

/** The imported hooks, in every place of a hook of the app. */
export function imported (app: FastifyInstance): void {
  app.get('/me', { onRequest: authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
  app.get('/maybe', { preHandler: [authenticateOptional] }, async ({ auth }) => ({ id: auth.claimsOrNull?.sub ?? null }))
  app.get('/strict', { onRequest: [authenticateStrict] }, async () => 'ok')
  app.get('/fresh', { onRequest: requireFreshLogin('5m') }, async () => 'ok')
  // @ts-expect-error it makes a hook and is none
  app.get('/mistaken', { onRequest: requireFreshLogin }, async () => 'ok')
  // @ts-expect-error a duration without a unit
  requireFreshLogin('300')

  app.register(fastifyAuth).after(() => {
    app.get('/either', { preHandler: app.auth([authenticate, authenticateStrict, authenticateOptional]) }, async () => 'ok')
  })
  app.register(async scope => { scope.addHook('onRequest', authenticate) })
  app.post('/order', { onRequest: [refuseCrossSite, authenticate] }, async () => 'ok')
  app.get('/callback', { config: { crossSite: true } }, async () => 'ok')
  // @ts-expect-error an origin is no answer
  app.get('/wrong', { config: { crossSite: 'https://accounts.example' } }, async () => 'ok')
  app.get('/form', { config: { readForm: 'a name that is free for the app' } }, async () => 'ok')
  app.register(async scope => { scope.addHook('preHandler', verifying.authenticate) })
  assertType<Same<typeof authenticate, AuthenticateHook>>()
  assertType<Same<ReturnType<typeof requireFreshLogin>, AuthenticateHook>>()
  assertType<Same<typeof authenticate, typeof app.authenticate>>()
  assertType<Same<typeof authenticate, typeof verifying.authenticate>>()
}

export async function verbs (auth: RequestAuth): Promise<void> {
  const user = await auth.verifyPassword({ username: 'ada', password: 'x' })
  assertType<Same<typeof user.passwordHash, string | null>>()
  await auth.verifyPassword({ username: {}, password: null })
  await auth.login(user.id)
  // @ts-expect-error without a password
  await auth.verifyPassword({ username: 'ada' })
  // @ts-expect-error a user is read only
  user.passwordHash = null
  const token = await auth.issueChallenge(user.id, { purpose: 'totp', expiresIn: '5m', boundTo: user.passwordHash })
  assertType<Same<typeof token, string>>()
  assertType<Same<Awaited<ReturnType<typeof auth.acceptChallenge>>, string>>()
  await auth.acceptChallenge({}, { purpose: 'totp', boundTo: async sub => sub, verify: sub => sub === '1' })
  // @ts-expect-error without a purpose
  await auth.issueChallenge('1', {})
  // @ts-expect-error a result object is no answer
  await auth.acceptChallenge(token, { purpose: 'totp', verify: () => ({ valid: false }) })
  // @ts-expect-error a duration without a unit
  await auth.issueChallenge('1', { purpose: 'totp', expiresIn: '300' })
  assertType<Same<Awaited<ReturnType<typeof auth.login>>, TokenResponse>>()
  assertType<Same<keyof TokenResponse, 'access_token' | 'token_type' | 'expires_in' | 'refresh_token'>>()
  assertType<Same<TokenResponse['refresh_token'], string | undefined>>()
  assertType<Same<TokenResponse['token_type'], 'Bearer'>>()
  assertType<Same<TokenResponse['expires_in'], number>>()
  await auth.login('ada')
  await auth.login(1, { claims: { role: 'admin' }, remember: false })
  // @ts-expect-error a user is not an id
  await auth.login({ id: 1 })
  // @ts-expect-error claims are an object
  await auth.login('ada', { claims: 'admin' })
  // @ts-expect-error an option that does not exist
  await auth.login('ada', { rememberMe: true })

  assertType<Same<Awaited<ReturnType<typeof auth.refresh>>, TokenResponse>>()
  assertType<Same<Awaited<ReturnType<typeof auth.logout>>, void>>()
  assertType<Same<Awaited<ReturnType<typeof auth.authenticate>>, AccessClaims>>()
  assertType<Same<Awaited<ReturnType<typeof auth.sessions>>, SessionView[]>>()
  assertType<Same<SessionView['userAgent'], string | null>>()
  assertType<Same<SessionView['current'], boolean>>()
  await auth.revokeSession('id')
  assertType<Same<Awaited<ReturnType<typeof auth.revokeOtherSessions>>, number>>()
}

export async function administration (app: FastifyInstance): Promise<void> {
  assertType<Same<Awaited<ReturnType<typeof app.sessions.list>>, Session[]>>()
  assertType<Same<Awaited<ReturnType<typeof app.sessions.get>>, Session | null>>()
  assertType<Same<Awaited<ReturnType<typeof app.sessions.revoke>>, boolean>>()
  assertType<Same<Awaited<ReturnType<typeof app.sessions.revokeAll>>, number>>()
  assertType<Same<Awaited<ReturnType<typeof app.sessions.purgeExpired>>, number>>()
  assertType<Same<Awaited<ReturnType<typeof app.passwords.hash>>, string>>()
  assertType<Same<Awaited<ReturnType<typeof app.passwords.verify>>, boolean>>()
  assertType<Same<ReturnType<typeof app.verifyAccessToken>, Promise<AccessClaims>>>()
  assertType<Same<Awaited<ReturnType<typeof app.authHealth>>, AuthHealth>>()
  assertType<Same<ReturnType<typeof app.reloadKeys>, Promise<void>>>()
  // @ts-expect-error a token is text
  await app.verifyAccessToken(null)
  // @ts-expect-error nobody replaces a hook
  app.authenticate = () => {}
}

export function errors (error: unknown): AuthErrorCode | null {
  if (!(error instanceof AuthError)) return null
  assertType<Same<typeof error.statusCode, number>>()
  assertType<Same<typeof error.retryAfter, number | undefined>>()
  // @ts-expect-error a code that does not exist
  if (error.code === 'FST_AUTH_TOKEN_INVALID') return null
  return authErrorCodes.includes(error.code) ? error.code : null
}
