import { cookieJar, type CookieJar } from '../support/cookie-jar.js'

/** Users with accounts. */
export const ADA = { username: 'ada', password: 'correct horse battery staple' }

export const BOB = { ...ADA, username: 'bob' }
export const EVE = { ...ADA, username: 'eve' }

/** A browser of a server. Its cookies outlive the server. */
export function client (url: string, jar: CookieJar = cookieJar(() => 0)) {
  let accessToken = ''
  return {
    jar,

    /** Sends a request with the cookies, and with the access token of the last token response. */
    async send (method: string, path: string, body?: object) {
      const answer = await fetch(url + path, {
        method,
        headers: {
          origin: url,
          cookie: jar.header(path) ?? '',
          ...(accessToken !== '' && { authorization: `Bearer ${accessToken}` }),
          ...(body && { 'content-type': 'application/json' })
        },
        ...(body && { body: JSON.stringify(body) })
      })
      jar.store(answer.headers.getSetCookie())
      const text = await answer.text()
      const reply = { status: answer.status, headers: answer.headers, text, json: () => JSON.parse(text) }
      if (text.startsWith('{"access_token"')) accessToken = reply.json().access_token
      return reply
    }
  }
}
