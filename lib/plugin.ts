import { type FastifyBaseLogger, type FastifyPluginAsync, type RegisterOptions } from 'fastify'
import fp from 'fastify-plugin'
import { type Accounts, createAccounts } from './accounts/accounts.js'
import { loadArgon2 } from './accounts/argon2.js'
import { memoryCounter, redisCounter } from './accounts/counters.js'
import { type Throttle, createThrottle } from './accounts/throttle.js'
import { loadCommonPasswords } from './accounts/common-passwords.js'
import { createPasswords, type Passwords } from './accounts/hashing.js'
import { createSilentSignup, type SilentSignup } from './accounts/silent-signup.js'
import { type AccessPolicy } from './tokens/claims.js'
import { subjectOf } from './tokens/subject.js'
import { startDeadline } from './deadline.js'
import { type RequestContext } from './audit/events.js'
import { type KeySource } from './keys/reload.js'
import { type TokenKind } from './keys/ring.js'
import { toleratedSkew } from './sessions/rotation-policy.js'
import { emitRefusal } from './audit/refusals.js'
import { createRevocations, type Revocations } from './sessions/revocations.js'
import { redacted } from './redaction.js'
import { type SessionStore } from './sessions/session.js'
import { createSessionService, type SessionService } from './sessions/service.js'
import { verifyAtOnce } from './sessions/verify-at-once.js'
import { anonymity, bodyTransport, cookieTransport } from './http/refresh-token-transport.js'
import { type UserId } from './accounts/user.js'
import { createAudit } from './http/audit.js'
import { createAuthenticateHooks } from './http/hooks.js'
import { checkCookiePath, createRefreshCookie } from './http/cookie.js'
import { claimContext, decorateInstance, decorateRequest, type SessionAdministration, verifyingTokens } from './http/decorators.js'
import { createTokenResponseBody } from './http/token-response.js'
import { createAppIdentity, followKeys, followRevocations, openOnReady } from './http/lifecycle.js'
import { markProtected } from './http/openapi.js'
import { type Packages, registerPackages } from './http/packages.js'
import { registerRoutes } from './http/routes/index.js'
import { kidOf } from './tokens/jwt.js'
import { decorateVerifyOnly } from './http/verify-only.js'
import { changingKeys, openKeys, publicKeys } from './keys/load.js'
import { readOptions } from './options/read.js'
import { type RefreshCookieOptions, type Settings } from './options/schema.js'
import { assertFittingOptions, warningsOf } from './options/sentences.js'
import { memoryStore } from './stores/memory.js'

/** Where an administrator's act comes from: no request. */
const NOWHERE = { userAgent: null, ip: null } as const

/** Puts everything together; nothing else knows all parts. */
const plugin: FastifyPluginAsync<RefreshCookieOptions> = async (fastify, options: RefreshCookieOptions & RegisterOptions) => {
  claimContext(fastify)
  const production = process.env['NODE_ENV'] === 'production'
  const settings = readOptions(options, production)
  const pathWarning = checkCookiePath(settings.cookie.path, fastify.prefix + settings.prefix, settings.routes) ?? []
  for (const sentence of warningsOf(settings, production).concat(pathWarning)) fastify.log.warn(sentence)

  const audit = createAudit(settings.clock, settings.onEvent)
  const app: RequestContext = {
    ...NOWHERE,
    // No request, so each call has its own.
    get bounded () { return startDeadline(settings.timeouts) },
    emit: event => audit.record(event, NOWHERE, null, fastify.log)
  }
  fastify.addHook('onClose', async () => audit.close(fastify.log))
  const identity = createAppIdentity(settings.appName, () => keys.rings().refresh)
  const keys = await openKeys(settings, event => {
    app.emit(event)
    identity.follow(event)
  }, fastify.log)
  const { signing } = keys.rings().access
  assertFittingOptions(options, settings, signing !== null)
  const changing = changingKeys(settings)
  if (changing.size > 0) followKeys(fastify, keys, settings.reloadKeysEvery)
  const seekKey = (kind: TokenKind, token: string): Promise<void> | undefined => changing.has(kind) ? keys.seek(kind, kidOf(token)) : undefined
  if (signing === null) {
    decorateVerifyOnly(fastify, { ring: () => keys.rings().access, access: accessPolicy(settings), clock: settings.clock, timeouts: settings.timeouts, audit, seekKey, reloadKeys: keys.reload, emit: app.emit })
    return
  }

  const store = settings.store ?? memoryStore({ clock: settings.clock })
  const packages = await registerPackages(fastify, keys.rings)
  const revocations = settings.revocation === 'immediate' ? buildRevocations(settings) : undefined
  const attempts = buildThrottle(settings, keys, fastify.log)
  const sessions = buildSessions(settings, store, packages, attempts, revocations)
  const passwords = createPasswords({ ...settings.passwords, contextWords: [settings.issuer ?? []].flat(), timeouts: settings.timeouts })
  const accounts = buildAccounts(settings, passwords, fastify.log)
  await loadWhatRoutesNeed(accounts, settings)

  const transport = settings.refreshToken.transport === 'body'
    ? bodyTransport
    : cookieTransport(createRefreshCookie(settings.cookie, packages.serializeCookie))
  const authOf = decorateRequest(fastify, { sessions, transport, renewWithAccessToken: settings.refreshToken.renewWithAccessToken, timeouts: settings.timeouts, audit, seekKey })
  const { hooks: { authenticateStrict, ...hooks }, ownRoutes } = createAuthenticateHooks(authOf, settings.clock)
  decorateInstance(fastify, {
    ...hooks,
    get authenticateStrict () {
      if (store.list !== undefined) return authenticateStrict
      throw new TypeError('app.authenticateStrict needs a store that keeps sessions: use another store, or app.authenticate')
    },
    verifyAccessToken: verifyingTokens(token => verifyAtOnce(token, sessions, revocations), app),
    reloadKeys: keys.reload,
    sessions: administration(sessions, app),
    passwords
  })

  openOnReady(fastify, store, identity, settings.timeouts, settings.clock)
  if (revocations !== undefined) followRevocations(fastify, store, revocations, settings.timeouts, app)
  const { logLevel, logSerializers } = options
  fastify.register(async scope => {
    const documented = registerRoutes(scope, {
      accounts,
      attempts,
      signupSilently: silentSignup(settings, fastify.log),
      authOf,
      ...ownRoutes,
      usernameField: settings.accounts.usernameField,
      urls: settings.routes,
      transport: transport.description,
      isAnonymous: anonymity(transport, settings.refreshToken.renewWithAccessToken),
      renewWithAccessToken: settings.refreshToken.renewWithAccessToken,
      tokenResponse: createTokenResponseBody(transport.description.grant, settings.formatTokenResponse),
      listable: store.list !== undefined,
      publicKeys: publicKeys(settings, keys),
      explain: production ? undefined : { secureCookie: settings.refreshToken.transport === 'cookie' && settings.cookie.secure },
      origins: {
        trustedOrigins: new Set(settings.trustedOrigins),
        crossSiteCookie: settings.cookie.sameSite === 'none'
      }
    })
    // Without a route of ours nothing declares our schemes, and to name one would break the host's whole document.
    if (documented) fastify.addHook('onRoute', markProtected)
  }, {
    // Fastify's own options of `register`, which it gives a plugin like this one no chance to have by itself.
    ...(logLevel !== undefined && { logLevel }),
    ...(logSerializers !== undefined && { logSerializers }),
    prefix: settings.prefix
  })
}

/** The plugin: `app.register(refreshCookie, { secret, users })`. Its decorators reach the context that registers it. */
export const refreshCookie = fp(plugin, { fastify: '5.x', name: 'fastify-refresh-cookie' })

function accessPolicy ({ issuer, audience, accessToken: { expiresIn, leeway } }: Settings): AccessPolicy {
  return { expiresIn, leeway, issuer, audience }
}

function buildSessions (settings: Settings, store: SessionStore, { tokens }: Packages, attempts: Throttle, revocations: Revocations | undefined): SessionService {
  const { clock, accessToken, refreshToken, users } = settings
  const { maxPerUser, whenFull, bindUserAgent } = settings.sessions
  return createSessionService({
    store,
    tokens,
    clock,
    access: accessPolicy(settings),
    rotation: { ...refreshToken, bindUserAgent },
    limit: maxPerUser === false ? undefined : { max: maxPerUser, whenFull },
    revocations,
    absolute: refreshToken.absolute,
    repeatRefreshToken: refreshToken.transport === 'body',
    findById: users?.findById?.bind(users),
    limitRefresh: attempts.refresh,
    appClaims: accessToken.claims
  })
}

/** An entry matters as long as any access token lives that was signed before it, or while it was on its way. */
function buildRevocations ({ clock, accessToken, refreshToken, timeouts, revocationUnknown }: Settings): Revocations {
  return createRevocations({
    clock,
    unknown: revocationUnknown,
    retain: accessToken.expiresIn + timeouts.request + accessToken.leeway,
    skew: Math.max(accessToken.leeway, toleratedSkew(refreshToken.grace))
  })
}

function buildThrottle ({ rateLimit: { redis, keyPrefix: prefix, ...limits }, users, appName }: Settings, { rings }: KeySource, log: FastifyBaseLogger): Throttle {
  // By the app's name, else that of the key that signs, so that two apps on one Redis do not count together, and all instances of one do.
  const keyPrefix = prefix ?? `auth:${appName ?? rings().refresh.signing?.kid}:`
  return createThrottle({
    limits,
    counter: (limit, name) => redis === undefined ? memoryCounter(limit) : redisCounter(limit, redis, keyPrefix + name),
    findByUsername: users?.findByUsername?.bind(users),
    warn: warningsIn(log)
  })
}

function silentSignup ({ accounts: { onSignup } }: Settings, log: FastifyBaseLogger): SilentSignup | undefined {
  return onSignup && createSilentSignup(onSignup, err => log.error({ err: redacted(err) }, 'auth: onSignup failed'))
}

function buildAccounts ({ users, accounts }: Settings, passwords: Passwords, log: FastifyBaseLogger): Accounts {
  if (users === undefined) return {}
  return createAccounts({ users, passwords, usernameField: accounts.usernameField, warn: warningsIn(log) })
}

/** At start, since what is missing would else show at the first login. Whoever only reauthenticates may have no password. */
async function loadWhatRoutesNeed ({ signup, login, changePassword }: Accounts, { routes }: Settings): Promise<void> {
  const chosen = (signup !== undefined && routes.signup !== false) || (changePassword !== undefined && routes.password !== false)
  if (chosen) await loadCommonPasswords()
  if (chosen || (login !== undefined && routes.login !== false)) await loadArgon2()
}

function warningsIn (log: FastifyBaseLogger): (message: string, details: object) => void {
  return (message, details) => log.warn(details, `auth: ${message}`)
}

function administration (sessions: SessionService, context: RequestContext): SessionAdministration {
  return {
    list: async (subject, part) => await refusing(sessions.list(textOf(subject), context, part)),
    revoke: id => refusing(sessions.revoke(id, 'revoked', context)),
    revokeAll: async subject => await refusing(sessions.revokeAll(textOf(subject), 'revoked', context)),
    purgeExpired: () => sessions.purgeExpired()
  }

  function textOf (id: UserId): string {
    return typeof id === 'string' ? id : subjectOf(id, 'app.sessions')
  }

  async function refusing<T> (act: Promise<T>): Promise<T> {
    try {
      return await act
    } catch (error) {
      emitRefusal(error, context)
      throw error
    }
  }
}
