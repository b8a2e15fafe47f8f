/** A way to prove something, in the words of an OpenAPI document and in those of Swagger 2. */
export interface SecurityScheme {
  readonly name: string
  /** `server` is the URL that the document's paths are below, '' where it names none. */
  readonly openapi: (server: string) => Readonly<Record<string, unknown>>
  /** Swagger 2 knows neither bearer tokens nor cookies. */
  readonly swagger: Readonly<Record<string, unknown>>
}

/** The name of the access token's scheme. */
export const ACCESS_TOKEN_SCHEME = 'accessToken'

/** The access token's scheme. With a login route, Swagger UI's Authorize logs in by its password form. */
export function accessTokenScheme (tokenUrl: string | null): SecurityScheme {
  return {
    name: ACCESS_TOKEN_SCHEME,
    openapi: server => tokenUrl === null
      ? { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }
      : { type: 'oauth2', description: 'Log in with username and password; a client has no id or secret here.', flows: { password: { tokenUrl: below(server, tokenUrl), scopes: {} } } },
    swagger: { type: 'apiKey', description: 'Bearer, a space, and the access token.', in: 'header', name: 'Authorization' }
  }
}

/** A path below a server. @fastify/swagger leaves the path of the server out of paths that begin with it, and so is it here. */
function below (server: string, path: string): string {
  const base = new URL(server, 'http://relative').pathname.replace(/\/$/, '')
  return path.startsWith(base) ? server.slice(0, server.length - base.length) + path : server + path
}

/** The refresh cookie's. */
export function refreshCookieScheme (cookieName: string): SecurityScheme {
  const cookie = { type: 'apiKey', description: 'Sent by the browser itself after a login: there is nothing to enter.' }
  return { name: 'refreshCookie', openapi: () => ({ ...cookie, in: 'cookie', name: cookieName }), swagger: { ...cookie, in: 'header', name: 'Cookie' } }
}

/** The refresh token's, where the client keeps it itself. */
export const REFRESH_TOKEN_SCHEME: SecurityScheme = {
  name: 'refreshToken',
  openapi: () => ({ type: 'http', scheme: 'bearer', description: 'The refresh_token of the last grant.' }),
  swagger: { type: 'apiKey', description: 'Bearer, a space, and the refresh_token of the last grant.', in: 'header', name: 'Authorization' }
}
