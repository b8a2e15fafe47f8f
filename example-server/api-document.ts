import swagger from '@fastify/swagger'
import swaggerUi, { type FastifySwaggerUiOptions } from '@fastify/swagger-ui'
import { type FastifyInstance } from 'fastify'
import { type TokenResponse } from 'fastify-refresh-cookie'

/**
 * The OpenAPI document at /docs/json and Swagger UI at /docs. Registered before the routes that it describes. The plugin
 * describes /auth/* and marks the protected routes.
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
 * Keeps Authorize working after the access token expires: it renews an expired one by the cookie before a request.
 * Runs in the browser, from its source text, so it cannot use variables of this module.
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
