import { createSecretKey, randomUUID } from 'node:crypto'
import express from 'express'
import jwt from 'jsonwebtoken'
import { answer } from './answer.js'

const secret = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'
// With a secret as text, jsonwebtoken creates a key for every token, and first tries it as a public key, which takes longer than all else.
const keyOf = use => createSecretKey(secret + use, 'utf8')
const KEYS = { 'at+jwt': keyOf('at'), 'rt+jwt': keyOf('rt') }
const COOKIE = { httpOnly: true, secure: true, sameSite: 'strict', path: '/', maxAge: 604_800_000 }
const app = express()

const sign = (typ, claims, expiresIn) => jwt.sign(claims, KEYS[typ], { algorithm: 'HS256', expiresIn, header: { typ } })
const body = sid => ({ access_token: sign('at+jwt', { sub: 'p1', jti: randomUUID(), sid }, 600), token_type: 'Bearer', expires_in: 600 })

app.post('/enter', (_request, response) => {
  const sid = randomUUID()
  response.cookie('refresh', sign('rt+jwt', { sub: 'p1', sid, gen: 0 }, 604_800), COOKIE).json(body(sid))
})
app.get('/me', (request, response) => {
  const { sub } = jwt.verify(request.get('authorization').slice('Bearer '.length), KEYS['at+jwt'], { algorithms: ['HS256'] })
  response.json({ id: sub })
})
app.post('/auth/refresh', (request, response) => {
  const { sid, gen } = jwt.verify(request.get('cookie').slice('refresh='.length), KEYS['rt+jwt'], { algorithms: ['HS256'] })
  response.cookie('refresh', sign('rt+jwt', { sub: 'p1', sid, gen: gen + 1 }, 604_800), COOKIE).set('cache-control', 'no-store').json(body(sid))
})

await answer(() => new Promise(resolve => {
  const server = app.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`))
}))
