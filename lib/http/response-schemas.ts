import { messageOf, statusOf, type AuthErrorCode } from '../errors.js'
import { type JsonSchema } from './json-schema.js'

/** The response schemas of refusals, one for each status, naming its codes. */
export function refusals (...codes: readonly AuthErrorCode[]): Record<number, JsonSchema> {
  const statuses = [...new Set(codes.map(statusOf))]
  return Object.fromEntries(statuses.map(status => [status, refusal(status, codes.filter(code => statusOf(code) === status))]))
}

/** An empty answer. */
export function noContent (description: string): JsonSchema {
  return { type: 'null', description }
}

/** What Fastify itself refuses before a handler runs, and the answer to what nobody foresaw. */
export const refusedByFastify: Record<number, JsonSchema> = {
  400: errorSchema('The body is not as described; the message names the field.'),
  413: errorSchema('The body is too large.'),
  415: errorSchema('The body is of another content type.'),
  500: errorSchema('Something unforeseen.')
}

/** Where Fastify refuses with the same status, its codes are possible too. */
function refusal (status: number, codes: readonly AuthErrorCode[]): JsonSchema {
  const meanings = codes.map(code => `- \`${code}\`: ${messageOf(code)}`).join('\n')
  const others = refusedByFastify[status]
  return others === undefined ? errorSchema(meanings, codes) : errorSchema(`${others['description']}\n${meanings}`)
}

/** The schema of an error. Open to more properties: a host's own error handler may shape the body its own way. */
export function errorSchema (description: string, codes?: readonly AuthErrorCode[]): JsonSchema {
  return {
    type: 'object',
    description,
    properties: {
      statusCode: { type: 'integer' },
      code: { type: 'string', ...(codes && { enum: codes }) },
      error: { type: 'string' },
      message: { type: 'string' }
    },
    additionalProperties: true
  }
}
