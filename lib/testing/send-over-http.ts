import { once } from 'node:events'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { type Send } from './test-browser.js'

/** Sends requests to a server that listens. Not with `fetch`, which replaces `Sec-Fetch-Mode` and drops `Host`. */
export function sendOverHttp (base: string): Send {
  const open = base.startsWith('https:') ? requestHttps : requestHttp
  return async ({ method, path, headers, payload }) => {
    const outgoing = open(new URL(path, base), { method, headers, agent: false })
    outgoing.end(payload)
    const [response] = await once(outgoing, 'response') as [IncomingMessage] // as documented
    const body = await text(response)
    return { statusCode: Number(response.statusCode), headers: response.headers, body, json: () => JSON.parse(body) }
  }
}
