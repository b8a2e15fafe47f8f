import { type Duration } from 'fastify-refresh-cookie'
import { EnvironmentError } from './environment-error.js'

/** What the environment says. Undefined leaves a setting to the plugin. */
export type Environment = ReturnType<typeof readEnvironment>

/**
 * Reads all settings from environment variables; an empty one counts as unset. Throws an EnvironmentError that names the
 * variable, its value (never a secret) and what it must be. Durations and origins are judged by the plugin itself.
 */
export function readEnvironment (variables: NodeJS.ProcessEnv) {
  const grace = read('GRACE', duration)
  const environment = {
    host: read('HOST', text) ?? '127.0.0.1',
    port: read('PORT', port) ?? 3000,
    logLevel: read('LOG_LEVEL', oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent')) ?? 'info',

    dataDir: read('DATA_DIR', text) ?? '.data',
    databaseUrl: read('DATABASE_URL', postgresUrl),
    redisUrl: read('REDIS_URL', redisUrl),

    authSecret: read('AUTH_SECRET', text),
    accessTtl: read('ACCESS_TTL', duration) ?? '1m', // short, so that whoever opens the page can watch a token expire
    refreshIdle: read('REFRESH_IDLE', duration),
    refreshAbsolute: read('REFRESH_ABSOLUTE', duration),
    grace,
    recoverLostReply: !isZero(grace), // without a grace period the plugin wants strict single use
    trustedOrigins: read('TRUSTED_ORIGINS', list),
    cookieSecure: read('COOKIE_SECURE', oneOf('true', 'false')) !== 'false',
    revocation: read('REVOCATION', oneOf('refresh', 'immediate')) ?? 'immediate', // a device that is signed out is out at once
    rateLimit: read('RATE_LIMIT', oneOf('on', 'off')) !== 'off'
  }
  if (variables['NODE_ENV'] === 'production' && environment.authSecret === undefined) {
    throw new EnvironmentError('AUTH_SECRET is missing: production needs at least 32 random bytes of your own, for example from "openssl rand -base64 48"')
  }
  return environment

  function read<T> (name: string, check: Check<T>): T | undefined {
    const value = variables[name]
    return value === undefined || value === '' ? undefined : check(value, name)
  }
}

/** The value of a variable as the code uses it, or an EnvironmentError. */
type Check<T> = (value: string, name: string) => T

const text: Check<string> = value => value

const port: Check<number> = (value, name) =>
  /^\d{1,5}$/.test(value) && Number(value) < 65_536 ? Number(value) : refuse(name, value, 'it must be a port from 0 to 65535, where 0 takes any that is free')

const duration: Check<Duration> = value =>
  /^\d+$/.test(value) ? Number(value) : value as Duration // whether it is one is for the plugin to say

const list: Check<string[]> = value => value.split(',').map(member => member.trim()).filter(member => member !== '')

// Never printed: it may hold a password.
const postgresUrl: Check<string> = (value, name) => {
  if (/^postgres(ql)?:\/\//.test(value) && URL.canParse(value)) return value
  throw new EnvironmentError(`${name} is no address of a PostgreSQL server: it must look like postgres://user:password@host:5432/database`)
}

const redisUrl: Check<string> = (value, name) => {
  if (/^rediss?:\/\//.test(value) && URL.canParse(value)) return value
  throw new EnvironmentError(`${name} is no address of a Redis server: it must look like redis://user:password@host:6379/0`)
}

function oneOf<const T extends string> (...values: readonly T[]): Check<T> {
  return (value, name) => values.find(known => known === value) ?? refuse(name, value, `it must be ${values.map(known => `"${known}"`).join(' or ')}`)
}

function refuse (name: string, value: string, wanted: string): never {
  throw new EnvironmentError(`${name} is ${JSON.stringify(value.slice(0, 60))}: ${wanted}`)
}

function isZero (grace: Duration | undefined): boolean {
  return /^0+[a-z]?$/.test(String(grace))
}
