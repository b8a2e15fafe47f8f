import { type FastifyRequest } from 'fastify'
import { bearerToken } from './bearer.js'
import { type Delivery } from './delivery.js'

/** Makes a function that says whether a request holds nothing that a refresh could go by. */
export function anonymity ({ read }: Pick<Delivery, 'read'>, renewWithAccessToken: boolean): (request: FastifyRequest) => boolean {
  return request => read(request).length === 0 && !(renewWithAccessToken && bearerToken(request.headers) !== null)
}
