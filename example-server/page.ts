import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import { type FastifyInstance, type FastifyReply } from 'fastify'

const PAGE = fileURLToPath(new URL('../../example-server/public', import.meta.url)) // seen from dist/example-server
const CLIENT = fileURLToPath(new URL('.', import.meta.resolve('fastify-refresh-cookie/client')))

/** The page, and the browser client of the package below /client/. */
export async function page (app: FastifyInstance): Promise<void> {
  await app.register(fastifyStatic, { root: PAGE, setHeaders })
  await app.register(fastifyStatic, { root: CLIENT, prefix: '/client/', decorateReply: false, setHeaders })
}

/** Only our own files run on the page, and no other site can frame it: this protects the access token in its memory. */
function setHeaders (reply: FastifyReply): void {
  reply.headers({
    'content-security-policy': "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff'
  })
}
