import { randomUUID, webcrypto } from 'node:crypto'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { jwt, sign, verify } from 'hono/jwt'
import { answer } from './answer.js'

// With a secret as text, hono imports a key for every token.
const newKey = () => webcrypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
const KEYS = { access: await newKey(), refresh: await newKey() }
const COOKIE = { httpOnly: true, secure: true, sameSite: 'Strict', path: '/', maxAge: 604_800 }
const app = new Hono()

const signed = (key, claims, expiresIn) => {
  const now = Math.floor(Date.now() / 1000)
  return sign({ sub: 'p1', ...claims, iat: now, exp: now + expiresIn }, key, 'HS256')
}
const body = async sid => ({ access_token: await signed(KEYS.access, { jti: randomUUID(), sid }, 600), token_type: 'Bearer', expires_in: 600 })

app.post('/enter', async context => {
  const sid = randomUUID()
  setCookie(context, 'refresh', await signed(KEYS.refresh, { sid, gen: 0 }, 604_800), COOKIE)
  return context.json(await body(sid))
})
app.get('/me', jwt({ secret: KEYS.access, alg: 'HS256' }), context => context.json({ id: context.get('jwtPayload').sub }))
app.post('/auth/refresh', async context => {
  const { sid, gen } = await verify(getCookie(context, 'refresh'), KEYS.refresh, 'HS256')
  setCookie(context, 'refresh', await signed(KEYS.refresh, { sid, gen: gen + 1 }, 604_800), COOKIE)
  context.header('cache-control', 'no-store')
  return context.json(await body(sid))
})

await answer(() => new Promise(resolve => {
  serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => resolve(`http://127.0.0.1:${port}`))
}))
