import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { type FastifyInstance } from 'fastify'

/** Folders whose files are served as they are, and where: the page's own, and the browser client of the package. */
const FOLDERS = [
  { folder: new URL('../../example-server/public/', import.meta.url), url: '/' }, // seen from dist/example-server
  { folder: new URL('.', import.meta.resolve('fastify-refresh-cookie/client')), url: '/client/' }
]

/** What is served, and as what. */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml'
}

// Nothing but our own files runs on the page, and no other site can frame it: what protects an access token in memory.
const HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff'
}

/** Serves the page and the client: plain files, read once. */
export async function page (app: FastifyInstance): Promise<void> {
  for (const { folder, url } of FOLDERS) {
    for (const file of await readdir(folder)) {
      const type = TYPES[extname(file)]
      if (type === undefined) continue
      const content = await readFile(new URL(file, folder))
      const path = file === 'index.html' ? url : url + file
      app.get(path, { schema: { hide: true } }, async (_request, reply) => await reply.headers(HEADERS).type(type).send(content))
    }
  }
}
