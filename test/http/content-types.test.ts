import t from 'tap'
import { BODY_LIMIT } from '../../lib/http/content-types.js'
import { HOST, loggedIn, PASSWORD } from '../support/server.js'

const JSON_BODY = JSON.stringify({ username: 'ada', password: PASSWORD })
const FORM = new URLSearchParams({ username: 'ada', password: PASSWORD }).toString()

/** Body, content type (null: none) and expected status of requests to a route. */
const REQUESTS: ReadonlyArray<readonly [path: string, contentType: string | null, body: string, verdict: number]> = [
  ...['application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;charset=UTF-8', ' application/json'].map(type => ['/login', type, JSON_BODY, 200] as const),
  ['/login', 'application/x-www-form-urlencoded', FORM, 200],
  ['/login', 'application/x-www-form-urlencoded; charset=utf-8', FORM, 200],

  ...['text/plain', 'text/plain; application/json', 'application/json-patch+json', 'application/ld+json', 'text/json', 'application/jsonx', 'application/xml', 'multipart/form-data; boundary=x', 'image/png', 'application/octet-stream', 'x'].map(type => ['/login', type, JSON_BODY, 415] as const),
  ...['application/json\ta', 'application/json, text/plain', 'application/json text/plain', '', '*/*', '*', ';', 'application/'].map(type => ['/login', type, JSON_BODY, 0] as const),
  ['/login', null, JSON_BODY, 415],
  ['/login', 'application/json', FORM, 400],
  ['/login', 'application/json', '', 400],
  ['/login', 'application/x-www-form-urlencoded', JSON_BODY, 400],
  ['/login', null, '', 400],
  ['/signup', 'application/x-www-form-urlencoded', FORM, 415],

  ...['/refresh', '/logout'].flatMap(path => {
    const done = path === '/refresh' ? 200 : 204
    return [
      ...[null, 'application/json', 'application/x-www-form-urlencoded', 'text/plain', 'application/octet-stream', 'multipart/form-data'].map(type => [path, type, '', done] as const),
      [path, 'application/json', '{}', done] as const,
      [path, 'application/json', 'null', done] as const,
      ...['[]', '""', '1', 'true', '{"refresh_token":"x"}', '{'].map(body => [path, 'application/json', body, 400] as const),
      ...['application/x-www-form-urlencoded', 'text/plain', null].map(type => [path, type, 'a=b', 415] as const)
    ]
  }),

  ...['{"__proto__":{}}', '{"constructor":{"prototype":{}}}', '{"username":"ada","password":"x","__proto__":{"remember":true}}', '\uFEFF{}x', '{"username":"ada"', '[]', 'null', '"x"', '1'].map(body => ['/login', 'application/json', body, 400] as const),
  ['/login', 'application/json', JSON.stringify({ username: 'ada', password: 'x'.repeat(BODY_LIMIT) }), 413],
  ['/login', 'application/x-www-form-urlencoded', `username=ada&password=${'x'.repeat(BODY_LIMIT)}`, 413],
  ['/login', 'text/plain', 'x'.repeat(BODY_LIMIT + 1), 413]
]

for (const path of ['/login', '/signup', '/refresh', '/logout']) {
  t.test(`CSRF: a body for ${path} is parsed by its content type, and only JSON and forms are accepted`, async t => {
    const { ada, app } = await loggedIn(t)
    const cookie = String(ada.jar.header('/'))
    for (const [, contentType, body, verdict] of REQUESTS.filter(([to]) => to === path)) {
      const answer = await app.inject({
        method: 'POST',
        url: `/auth${path}`,
        headers: { host: HOST, cookie, ...(contentType !== null && { 'content-type': contentType }), ...(body === '' && { 'content-length': '0' }) },
        ...(body !== '' && { payload: body })
      })
      const what = `${contentType} ${body.slice(0, 30)}: ${answer.statusCode}`
      // 0: Fastify and the plugin both refuse an invalid media type, with 400 or 415.
      if (verdict === 0) t.ok([400, 415].includes(answer.statusCode), what)
      else t.equal(answer.statusCode, verdict, what)
    }
  })
}

t.test('a body of exactly the size limit is accepted', async t => {
  const { ada } = await loggedIn(t)
  t.equal(BODY_LIMIT, 16_384)
  const rest = BODY_LIMIT - JSON.stringify({ username: 'ada', password: '' }).length
  for (const [length, status] of [[rest, 401], [rest + 1, 413]] as const) {
    t.match(await ada.send({ method: 'POST', url: '/auth/login', payload: { username: 'ada', password: 'x'.repeat(length) } }), { statusCode: status })
  }
})

t.test('information leak: the refusal of a body does not repeat its content', async t => {
  const { ada } = await loggedIn(t)
  const canary = 'hunter2'
  const BODIES: ReadonlyArray<readonly [contentType: string, body: string]> = [
    ['application/json', `{"password":"${canary}`],
    ['application/json', `{"password": ${canary}}`],
    ['application/json', canary],
    ['application/json', `{"username":"ada","password":["${canary}"]}`],
    ['application/json', `{"username":"ada","password":"x","${canary} \\n":1}`],
    ['application/x-www-form-urlencoded', `password=${canary}`],
    ['application/x-www-form-urlencoded', `grant_type=${canary}`],
    ['text/plain', canary]
  ]
  for (const [contentType, payload] of BODIES) {
    const answer = await ada.send({ method: 'POST', url: '/auth/login', headers: { 'content-type': contentType }, payload })
    t.ok([400, 415].includes(answer.statusCode), payload)
    t.notMatch(answer.body, canary)
  }
})
