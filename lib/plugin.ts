import fastifyCookie from '@fastify/cookie'
import { type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync, type RegisterOptions } from 'fastify'
import fp from 'fastify-plugin'
import { MemoryCounter, pingCounters, RedisCounter } from './accounts/attempt-counters.js'
import { loadArgon2, PasswordHasher, type Passwords } from './accounts/hashing.js'
import { Challenges } from './accounts/challenges.js'
import { PasswordChange } from './accounts/password-change.js'
import { PasswordVerifier } from './accounts/password-verifier.js'
import { Signup } from './accounts/signup.js'
import { Throttle } from './accounts/throttle.js'
import { createAppContext, createAudit } from './http/audit-log.js'
import { checkCookiePath, createRefreshCookie, type SerializeCookie } from './http/cookie.js'
import { createAfterReply, createOwnerSource, followKeys, followRevocations, openOnReady, purgePeriodically } from './http/lifecycle.js'
import { decorateHooks, decorateInstance, decorateRequest, verifyAccessTokenWith } from './http/decorators.js'
import { issueChallengeWith, sessionAdministration } from './http/session-administration.js'
import { markContext, noteRegistration, type Registration } from './http/registrations.js'
import { SWAGGER, warnOfLateSwagger } from './http/setup-warnings.js'
import { type UnusableHooks } from './http/request-auth.js'
import { createHealth } from './http/health.js'
import { createOwnHooks } from './http/hooks.js'
import { markProtected } from './http/openapi.js'
import { bodyTransport, cookieTransport, type RefreshTokenTransport } from './http/refresh-token-transport.js'
import { SessionAuth, type SessionAuthParts } from './http/session-auth.js'
import { type Accounts } from './http/routes/route.js'
import { registerRoutes, type RoutesOptions, servedRoutes, verifiesPasswords } from './http/routes/index.js'
import { createTokenResponseBody } from './http/token-response.js'
import { openKeys, publicKeys, type OpenedKeys } from './keys/reload.js'
import { readOptions, warningsOf } from './options/read-options.js'
import { type RefreshCookieOptions, type Settings } from './options/schema.js'
import { redacted } from './redaction.js'
import { Revocations } from './sessions/revocations.js'
import { toleratedSkew } from './sessions/rotation-policy.js'
import { observedStore } from './diagnostics-channels.js'
import { SessionService } from './sessions/session-service.js'
import { keepsSessions, type SessionStore } from './sessions/store.js'
import { memoryStore } from './stores/memory.js'
import { offerForTests } from './testing/test-options.js'
import { ChallengeTokens } from './tokens/challenge.js'
import { maxAccessLifetime } from './tokens/claims.js'
import { createTokens, type Tokens, type VerificationPolicy } from './tokens/jwt.js'
import { logSafely, logWarning } from './warnings.js'

const plugin: FastifyPluginAsync<RefreshCookieOptions> = async (fastify, options) => {
  markContext(fastify)
  const production = process.env['NODE_ENV'] === 'production'
  const settings = readOptions(options, production)
  const { clock, timeouts, rateLimit: { redis } } = settings
  await warnOfSettings(fastify, settings, production)

  const audit = createAudit(clock, settings.onEvent, fastify.log)
  const context = createAppContext(audit, timeouts, fastify.log)
  fastify.addHook('onClose', async () => audit.close())
  const { keys, owner } = await openAppKeys(fastify, settings, context.emit)
  const store = settings.store ?? memoryStore({ clock })
  noteRegistration(fastify, registrationOf(settings, options.users, store, keys))
  const { tokens, serializeCookie } = await registerJwtAndCookie(fastify, keys, { ...settings.accessToken, issuer: settings.issuer, audience: settings.audience })
  const revocations = settings.revocation === 'immediate' ? buildRevocations(settings) : undefined
  const throttle = buildThrottle(settings, keys, fastify.log)
  const observed = observedStore(store)
  const sessions = buildSessions(settings, observed, tokens, throttle, revocations)
  const passwords = new PasswordHasher({ ...settings.passwords, contextWords: [settings.issuer ?? []].flat(), timeouts })
  const accounts = buildAccounts(fastify, settings, passwords, throttle)
  const transport = buildTransport(settings, serializeCookie)
  const urls = servedRoutes(settings.routes, settings.users, store, fastify.log)
  if (verifiesPasswords(urls)) await loadArgon2() // a missing build shows before the first login

  const challenges = new Challenges({ store: observed, tokens: new ChallengeTokens(keys), throttle, clock, verifyWithin: timeouts.call + settings.passwords.queue.maxWait })
  const auth = buildAuthParts(fastify, settings, store, { audit, sessions, accounts, challenges, transport })
  const authOf = decorateRequest(fastify, SessionAuth, auth)
  decorateHooks(fastify, authOf, auth.unusableHooks)
  decorateInstance(fastify, {
    verifyAccessToken: verifyAccessTokenWith(sessions.authenticate, context),
    reloadKeys: keys.reload,
    sessions: sessionAdministration(sessions, context),
    issueChallenge: issueChallengeWith(challenges, context),
    passwords,
    authHealth: createHealth({ store, revocations, keys, passwords, pingCounters: redis && (() => pingCounters(redis)) }, context)
  })
  offerForTests(fastify, production, {
    ...settings,
    clock: options.clock ?? clock,
    prefix: fastify.prefix + settings.prefix,
    expiresIn: settings.accessToken.expiresIn,
    routes: urls,
    transport,
    login: async (subject, { userAgent, ...options }) => await sessions.login(subject, { ...context, userAgent, ip: '127.0.0.1' }, options)
  })

  openOnReady(fastify, store, owner, timeouts, clock)
  if (revocations !== undefined) followRevocations(fastify, store, revocations, timeouts, context)
  if (store.purgeExpired !== undefined && settings.sessions.purgeEvery !== false) purgePeriodically(fastify, signal => sessions.purgeExpired(signal), settings.sessions.purgeEvery, timeouts)
  const setup = { isUsed: settings.refreshToken.transport === 'cookie', isSecure: settings.cookie.secure, domain: settings.cookie.domain, origins: auth.origins }
  const tokenResponse = createTokenResponseBody(transport.tokenResponseSchema, settings.formatTokenResponse)
  registerRoutesBelow(fastify, options, settings.prefix, { transport, urls, authOf, hooks: createOwnHooks(authOf), accounts, setup, explains: !production, tokenResponse, publicKeys: publicKeys(settings, keys) })
}

/**
 * The plugin: `app.register(refreshCookie, { secret, users })`. It decorates the context that registers it: `request.auth`, the hooks,
 * `app.verifyAccessToken`, `app.reloadKeys`, `app.sessions`, `app.issueChallenge`, `app.passwords` and `app.authHealth`, and adds the routes below `prefix`. Registration
 * rejects with a TypeError for invalid options. See docs/options.md and docs/protecting-routes.md.
 */
export const refreshCookie = fp(plugin, { fastify: '5.x', name: 'fastify-refresh-cookie' })

type BuiltParts = Pick<SessionAuthParts, 'audit' | 'sessions' | 'challenges' | 'transport'> & { readonly accounts: Accounts }

function buildAuthParts (fastify: FastifyInstance, settings: Settings, store: SessionStore, { accounts, ...parts }: BuiltParts): SessionAuthParts {
  return {
    ...parts,
    authenticate: parts.sessions.authenticate,
    clock: settings.clock,
    timeouts: settings.timeouts,
    unusableHooks: unusableHooksOf(settings, store),
    passwordVerifier: settings.users?.findByUsername && accounts.passwordVerifier,
    usernameField: settings.accounts.usernameField,
    origins: { trustedOrigins: new Set(settings.trustedOrigins), crossSiteCookie: settings.cookie.sameSite === 'none' },
    afterReply: createAfterReply(fastify)
  }
}

/**
 * Registers @fastify/jwt and, unless the host has it, @fastify/cookie. Both are in a separate context, so that the host can
 * register them too, before or after this plugin.
 */
async function registerJwtAndCookie (fastify: FastifyInstance, keys: OpenedKeys, access: VerificationPolicy): Promise<{ tokens: Tokens, serializeCookie: SerializeCookie }> {
  let registered!: { tokens: Tokens, serializeCookie: SerializeCookie } // assigned below: `register` loads the context or rejects
  await fastify.register(async scope => {
    if (!scope.hasPlugin('@fastify/cookie')) await scope.register(fastifyCookie)
    registered = { tokens: await createTokens(scope, keys, access), serializeCookie: scope.serializeCookie }
  })
  return registered
}

function unusableHooksOf ({ refreshToken }: Settings, store: SessionStore): UnusableHooks {
  return {
    strict: keepsSessions(store) ? undefined : 'authenticateStrict needs a store that keeps sessions: use another store, or authenticate',
    byCookie: refreshToken.transport === 'cookie' ? undefined : "authenticateByCookie needs the refresh cookie, which refreshToken.transport 'body' does not use: use authenticate"
  }
}

function registrationOf ({ issuer, audience, cookie, routes, refreshToken: { transport } }: Settings, users: object | undefined, store: SessionStore, { rings }: OpenedKeys): Registration {
  return { keyIds: [...rings.refresh.byKid.keys()], users, issuer, audience, store, hasLogin: routes.login !== false, cookie: transport === 'cookie' ? cookie : null }
}

function buildTransport ({ refreshToken, cookie }: Settings, serializeCookie: SerializeCookie): RefreshTokenTransport {
  return refreshToken.transport === 'body' ? bodyTransport : cookieTransport(createRefreshCookie(cookie, serializeCookie), refreshToken.renewWithAccessToken)
}

async function openAppKeys (fastify: FastifyInstance, settings: Settings, emit: Parameters<typeof openKeys>[1]): Promise<{ keys: OpenedKeys, owner: ReturnType<typeof createOwnerSource> }> {
  const owner = createOwnerSource(settings.appName, () => keys.rings.refresh)
  const keys = await openKeys(settings, event => {
    emit(event)
    owner.follow(event)
  }, fastify.log)
  if (keys.rings.access.signing === null) throw new TypeError("option \"keys\" has no key with use: 'sign': give one, or register fastify-refresh-cookie/verifier in a service that only verifies")
  if (keys.changing.size > 0) followKeys(fastify, keys, settings.reloadKeysEvery)
  return { keys, owner }
}

function buildSessions (settings: Settings, store: SessionStore, tokens: Tokens, throttle: Throttle, revocations: Revocations | undefined): SessionService {
  const { clock, issuer, audience, accessToken: { expiresIn, leeway, claims }, refreshToken, users } = settings
  const { maxPerUser, whenFull, bindUserAgent } = settings.sessions
  return new SessionService({
    store,
    tokens,
    clock,
    access: { expiresIn, leeway, issuer, audience },
    rotationPolicy: { ...refreshToken, bindUserAgent },
    limit: maxPerUser === false ? undefined : { max: maxPerUser, whenFull },
    revocations,
    absolute: refreshToken.absolute,
    repeatRefreshToken: refreshToken.transport === 'body',
    findById: users?.findById?.bind(users),
    limitRefresh: throttle.refresh.bind(throttle),
    appClaims: claims
  })
}

/** An entry is kept until the last access token expires that any process signed before the revocation or for a request in progress. */
function buildRevocations ({ clock, accessToken, refreshToken, timeouts, revocationUnknown }: Settings): Revocations {
  return new Revocations({
    clock,
    unknown: revocationUnknown,
    retain: maxAccessLifetime(accessToken.expiresIn) + timeouts.request + accessToken.leeway,
    skew: Math.max(accessToken.leeway, toleratedSkew(refreshToken.grace))
  })
}

function buildThrottle ({ rateLimit: { redis, keyPrefix: prefix, ...limits }, users = {}, appName }: Settings, { rings }: OpenedKeys, log: FastifyBaseLogger): Throttle {
  // All instances of an app share the prefix; two apps on one Redis do not.
  const keyPrefix = prefix ?? `auth:${appName ?? rings.refresh.signing?.kid}:`
  return new Throttle({
    limits,
    counter: limits => redis === undefined ? new MemoryCounter(limits) : new RedisCounter(limits, redis, keyPrefix),
    users,
    warn: warningsIn(log)
  })
}

function buildAccounts (fastify: FastifyInstance, { users = {}, accounts: { usernameField, onSignup }, timeouts }: Settings, passwords: Passwords, throttle: Throttle): Accounts {
  const onSignupFailed = (err: unknown): void => logSafely(fastify.log, 'error', { err: redacted(err) }, 'auth: onSignup failed')
  const signup = new Signup({ users, passwords, throttle, usernameField, onSignup, onSignupFailed })
  fastify.addHook('onClose', async () => await signup.close(timeouts))
  return {
    passwordVerifier: new PasswordVerifier({ users, passwords, throttle, warn: warningsIn(fastify.log) }),
    signup,
    passwordChange: new PasswordChange(users, passwords),
    usernameField
  }
}

/** Logs the warnings about the options. Throws for a cookie path that no logout would reach. */
async function warnOfSettings (fastify: FastifyInstance, settings: Settings, production: boolean): Promise<void> {
  const pathWarnings = checkCookiePath(settings.cookie.path, fastify.prefix + settings.prefix, settings.routes)
  for (const warning of [...warningsOf(settings, { production, worker: await isClusterWorker() }), ...pathWarnings]) logWarning(fastify.log, warning)
  warnOfLateSwagger(fastify)
}

/** Only a process with a channel to its parent can be a worker, and `node:cluster` takes 3 ms to load. */
async function isClusterWorker (): Promise<boolean> {
  return process.send !== undefined && (await import('node:cluster')).default.isWorker
}

function warningsIn (log: FastifyBaseLogger): (message: string, details: object) => void {
  return (message, details) => log.warn(details, `auth: ${message}`)
}

/** Registers our routes in a child context. */
function registerRoutesBelow (fastify: FastifyInstance, { logLevel, logSerializers }: RegisterOptions, prefix: string, routes: RoutesOptions): void {
  fastify.register(async scope => {
    // @fastify/swagger does not see the routes of a context that is loaded already. Our routes declare the security schemes,
    // and without them a reference from a route of the host would make its document invalid.
    if (registerRoutes(scope, routes) && fastify.hasPlugin(SWAGGER)) fastify.addHook('onRoute', markProtected)
  }, {
    // `register` options of Fastify that do not apply to a plugin wrapped in fastify-plugin, so they are passed on here.
    ...(logLevel !== undefined && { logLevel }),
    ...(logSerializers !== undefined && { logSerializers }),
    prefix
  })
}
