import type { Duration } from 'fastify-refresh-cookie'
import { z } from 'zod'

/** The plugin checks durations, origins and the secret itself. */
const duration = z.custom<Duration>()

const schema = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65535).default(3000),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),

  DATA_DIR: z.string().default('.data'),
  DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'must start with postgres://').optional(),
  REDIS_URL: z.string().regex(/^rediss?:\/\//, 'must start with redis://').optional(),

  AUTH_SECRET: z.string().optional(),
  ACCESS_TTL: duration.default('1m'), // short, so that you can watch a token expire
  REFRESH_IDLE: duration.optional(),
  REFRESH_ABSOLUTE: duration.optional(),
  GRACE: duration.optional(),
  TRUSTED_ORIGINS: z.string().default('').transform(list => list.split(/[\s,]+/).filter(origin => origin !== '')),
  COOKIE_SECURE: z.enum(['true', 'false']).default('true'),
  REVOCATION: z.enum(['refresh', 'immediate']).default('immediate'),
  RATE_LIMIT: z.enum(['on', 'off']).default('on'),
  NODE_ENV: z.string().optional()
}).refine(({ NODE_ENV, AUTH_SECRET }) => NODE_ENV !== 'production' || AUTH_SECRET !== undefined, {
  path: ['AUTH_SECRET'],
  message: 'production needs a secret of its own, for example from "openssl rand -base64 48"'
})

export type Environment = z.infer<typeof schema>

/** The settings from environment variables; an empty one counts as unset. Throws an error that names the wrong ones. */
export function readEnvironment (variables: NodeJS.ProcessEnv): Environment {
  return schema.parse(Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== '')))
}
