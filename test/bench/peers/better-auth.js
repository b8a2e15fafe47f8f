import { randomUUID } from 'node:crypto'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { fromNodeHeaders } from 'better-auth/node'
import Fastify from 'fastify'
import { answer } from './answer.js'

const auth = betterAuth({
  baseURL: 'http://127.0.0.1',
  secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  emailAndPassword: { enabled: true, password: { hash: async password => password, verify: async () => true } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  session: { cookieCache: { enabled: process.argv[2] === 'cookie-cache', maxAge: 600 } }
})
const app = Fastify()

app.post('/enter', async (_request, reply) => {
  const response = await auth.api.signUpEmail({ body: { name: 'p', email: `${randomUUID()}@example.com`, password: 'correct horse battery staple' }, asResponse: true })
  reply.header('set-cookie', response.headers.getSetCookie())
  return {}
})
app.get('/me', async (request, reply) => {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
  if (session === null) return await reply.code(401).send()
  return { id: session.user.id }
})

await answer(() => app.listen({ port: 0, host: '127.0.0.1' }))
