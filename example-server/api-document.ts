import swagger from '@fastify/swagger'
import swaggerUi, { type FastifySwaggerUiOptions } from '@fastify/swagger-ui'
import { type FastifyInstance } from 'fastify'
import { type TokenResponse } from 'fastify-refresh-cookie'

/**
 * The OpenAPI document at /docs/json and Swagger UI at /docs. Registered before the routes that it describes; what it
 * says of /auth/* and of protected routes comes from the plugin.
 */
export async function describeApi (app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'An app with lasting logins',
        description: 'Press Authorize and log in with a username and a password; sign up first, here or on the page at `/`. The refresh token is in a cookie that the browser sends by itself.',
        version: '1.0.0',
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [{ url: '/' }]
    }
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { requestInterceptor: renewAccessToken },
    staticCSP: "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
  })
}

type RequestInterceptor = NonNullable<NonNullable<FastifySwaggerUiOptions['uiConfig']>['requestInterceptor']>

/**
 * Keeps Authorize good for longer than one access token: an expired one is renewed through the cookie before it is sent.
 * Runs in the browser, from its source text, so it can use nothing from here.
 */
const renewAccessToken: RequestInterceptor = async request => {
  const [, payload] = /^Bearer [^.]+\.([^.]+)/.exec(request['headers'].Authorization) ?? []
  if (payload === undefined) return request
  const { exp } = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/')))
  if (Date.now() / 1000 < exp) return request

  const renewed = await fetch('/auth/refresh', { method: 'POST' })
  if (renewed.ok) request['headers'].Authorization = `Bearer ${((await renewed.json()) as TokenResponse).access_token}`
  return request
}
