import axios from 'axios'
import ky from 'ky'
import { createFetch } from 'ofetch'
import createOpenapiClient from 'openapi-fetch'
import t from 'tap'
import wretch from 'wretch'
import { exactly } from '../support/exactly.js'
import { browser, type Tab } from './support/browser.js'
import { LIFETIME, ORIGIN } from './support/fake-server.js'

const REFRESH = '/auth/refresh'
const BOOK = { title: 'a book' }

/** The types that openapi-typescript generates from the API's document. */
interface Paths {
  '/api/me': { get: { responses: { 200: { content: { 'application/json': Answer } } } } }
  '/api/orders': { post: { requestBody: { content: { 'application/json': typeof BOOK } }, responses: { 200: { content: { 'application/json': Answer } } } } }
}

interface Answer { readonly sub: string, readonly body: string }

/** Each library with the client's fetch, and two calls of it. */
const LIBRARIES: Readonly<Record<string, (auth: Tab) => { me: () => Promise<unknown>, order: () => Promise<unknown> }>> = {
  'openapi-fetch' (auth) {
    const api = createOpenapiClient<Paths>({ baseUrl: ORIGIN, fetch: auth.fetch })
    return {
      me: async () => (await api.GET('/api/me')).data,
      order: async () => (await api.POST('/api/orders', { body: BOOK })).data
    }
  },
  ky (auth) {
    const api = ky.create({ prefixUrl: ORIGIN, fetch: auth.fetch })
    return {
      me: () => api.get('api/me').json(),
      order: () => api.post('api/orders', { json: BOOK }).json()
    }
  },
  axios (auth) {
    const api = axios.create({ baseURL: ORIGIN, adapter: 'fetch', env: { fetch: auth.fetch } })
    return {
      me: async () => (await api.get('/api/me')).data,
      order: async () => (await api.post('/api/orders', BOOK)).data
    }
  },
  ofetch (auth) {
    const api = createFetch({ fetch: auth.fetch }).create({ baseURL: ORIGIN })
    return {
      me: () => api('/api/me'),
      order: () => api('/api/orders', { method: 'POST', body: BOOK })
    }
  },
  wretch (auth) {
    const api = wretch(ORIGIN).polyfills({ fetch: auth.fetch })
    return {
      me: () => api.get('/api/me').json(),
      order: () => api.url('/api/orders').post(BOOK).json()
    }
  }
}

for (const [name, connect] of Object.entries(LIBRARIES)) {
  t.test(`${name} succeeds with an expired token, for one refresh`, async t => {
    const { server, time, signedIn } = browser(t)
    const { me, order } = connect(await signedIn())
    await time.advance(LIFETIME * 1000)
    t.match(await Promise.all([me(), order(), me()]), exactly({ sub: 'ann' }, { sub: 'ann', body: JSON.stringify(BOOK) }, { sub: 'ann' }))
    t.same([server.count(REFRESH), server.count('/api/me'), server.count('/api/orders')], [1, 2, 1])
  })

  t.test(`${name} succeeds with a refused token, for one refresh`, async t => {
    const { server, signedIn } = browser(t)
    const { me, order } = connect(await signedIn())
    server.forgetTokens()
    t.match(await Promise.all([me(), order()]), exactly({ sub: 'ann' }, { sub: 'ann', body: JSON.stringify(BOOK) }))
    t.same([server.count(REFRESH), server.count('/api/me'), server.count('/api/orders')], [1, 2, 2])
    t.match(server.arrivals.at(-1)?.headers.get('authorization'), /^Bearer ./)
  })
}
