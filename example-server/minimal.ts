import Fastify from 'fastify'
import refreshCookie, { authenticate } from 'fastify-refresh-cookie'

const app = Fastify({ logger: true }) // warnings, and the cause of a 503, are only in the log
const people = new Map() // stands for your table of users

await app.register(refreshCookie, {
  secret: process.env.AUTH_SECRET,
  users: {
    findByUsername: username => people.get(username) ?? null,
    findById: id => [...people.values()].find(user => user.id === id) ?? null,
    create ({ username, passwordHash }) {
      const user = { id: crypto.randomUUID(), username, passwordHash }
      return people.has(username) ? null : people.set(username, user) && user
    }
  }
})
app.get('/me', { onRequest: authenticate }, async request => request.auth.claims)
await app.listen({ port: 3000 })
