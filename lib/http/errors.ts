import { STATUS_CODES } from 'node:http'
import { type FastifyError, type FastifyRequest, type FastifySchemaValidationError } from 'fastify'
import { redacted } from '../redaction.js'
import { AuthError } from '../errors.js'
import { type Authentication } from './authentication.js'

/**
 * The error handler of our routes. A refusal of ours gets its headers and its event, and what nobody foresaw a body that
 * tells nothing; both then go on to the host's own error handler, or to Fastify's.
 */
export function createErrorHandler (authOf: (request: FastifyRequest) => Pick<Authentication, 'refused'>): (error: FastifyError, request: FastifyRequest) => never {
  return (error, request) => {
    if (error instanceof AuthError) {
      authOf(request).refused(error)
      throw error
    }
    throw harmless(error)
  }
}

/** What may be shown of an error that is no refusal of ours. */
function harmless (error: FastifyError): Error {
  const { statusCode = 500 } = error
  if (statusCode >= 400 && statusCode < 500) return unlogged(error)
  // A 503 of the host's own, when it is overloaded, stays one; whatever is no server error is a bug.
  const status = statusCode > 500 && statusCode in STATUS_CODES ? statusCode : 500
  // The message of a bug may hold anything: a query, a host name, a password. It is for the log.
  return Object.assign(new Error(STATUS_CODES[status], { cause: redacted(error) }), { statusCode: status })
}

/**
 * Ajv's own account of a wrong body repeats names that a caller chose: for a host's error handler, not for a log. A stack
 * trace of what Fastify itself refuses would look like a bug there.
 */
function unlogged (error: FastifyError): FastifyError {
  if (error.code?.startsWith('FST_ERR_')) error.stack = `${error.name}: ${error.message}`
  return error.validation === undefined ? error : Object.defineProperty(error, 'validation', { enumerable: false })
}

/** Says which field of a body is wrong, and never what was sent in it. */
export function formatSchemaErrors (errors: FastifySchemaValidationError[], part: string): Error {
  const [{ instancePath = '', message = 'is not valid', params = {} } = {}] = errors
  // The name of an unknown field is a caller's text, which may be a password that slipped: it is neither sent nor logged.
  return new Error(params['additionalProperty'] === undefined ? `${part}${instancePath} ${message}` : `${part} has an unknown field`)
}
