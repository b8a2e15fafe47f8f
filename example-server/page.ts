import { readFile } from 'node:fs/promises'
import { type FastifyInstance } from 'fastify'

const FOLDER = new URL('../../example-server/public/', import.meta.url) // seen from dist/example-server

const FILES = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8' },
  { url: '/app.js', file: 'app.js', type: 'text/javascript; charset=utf-8' },
  { url: '/auth.js', file: 'auth.js', type: 'text/javascript; charset=utf-8' },
  { url: '/cookie.svg', file: 'cookie.svg', type: 'image/svg+xml' }
]

// Nothing but our own files runs on the page, and no other site can frame it: what protects an access token in memory.
const HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff'
}

/** Serves the page: plain files, read once. */
export async function page (app: FastifyInstance): Promise<void> {
  for (const { url, file, type } of FILES) {
    const content = await readFile(new URL(file, FOLDER))
    app.get(url, { schema: { hide: true } }, async (_request, reply) => await reply.headers(HEADERS).type(type).send(content))
  }
}
