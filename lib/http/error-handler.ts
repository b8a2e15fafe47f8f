import { STATUS_CODES } from 'node:http'
import { type FastifyError, type FastifyReply, type FastifyRequest, type FastifySchemaValidationError } from 'fastify'
import { redacted } from '../redaction.js'
import { AuthError } from '../errors.js'
import { type TokenAuth } from './request-auth.js'
import { redirectRefusal } from './html-forms.js'

/**
 * The error handler of our routes. It records an AuthError and replaces an unexpected error with one that reveals nothing, then
 * rethrows to the host's error handler, or to Fastify's. The refusal of an HTML form is a redirect instead.
 */
export function createErrorHandler (authOf: (request: FastifyRequest) => Pick<TokenAuth, 'refused'>): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    const shown = error instanceof AuthError ? authOf(request).refused(error) : withoutDetails(error)
    if (!redirectRefusal(request, reply, error)) throw shown
  }
}

function withoutDetails (error: FastifyError): Error {
  const { statusCode = 500 } = error
  if (statusCode >= 400 && statusCode < 500) return unlogged(error)
  // A 503 of an overloaded host stays a 503; a status that is no server error is a bug.
  const status = statusCode > 500 && statusCode in STATUS_CODES ? statusCode : 500
  // The message of a bug may contain a query, a host name or a password, so it only goes to the log, redacted.
  return Object.assign(new Error(STATUS_CODES[status], { cause: redacted(error) }), { statusCode: status })
}

/**
 * Ajv's `validation` repeats field names from the request, so the log must not print it; the host's error handler can still read
 * it. The log gets no stack trace of a refusal of Fastify, which would look like a bug.
 */
function unlogged (error: FastifyError): FastifyError {
  if (error.code?.startsWith('FST_ERR_')) error.stack = `${error.name}: ${error.message}`
  return error.validation === undefined ? error : Object.defineProperty(error, 'validation', { enumerable: false })
}

/** Names the invalid field, never its value. */
export function formatSchemaErrors (errors: FastifySchemaValidationError[], part: string): Error {
  const [{ instancePath = '', message = 'is not valid', params = {} } = {}] = errors
  // The name of an unknown field is user input, perhaps a misplaced password: it is neither sent nor logged.
  return new Error(params['additionalProperty'] === undefined ? `${part}${instancePath} ${message}` : `${part} has an unknown field`)
}
