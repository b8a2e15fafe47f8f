import { type FastifyInstance, type InjectOptions } from 'fastify'
import { HOST, PASSWORD, type Answer } from './server.js'

/** A native app without cookies and origin, which stores both tokens of the last token response. */
export interface NativeApp {
  accessToken: string | null
  refreshToken: string | null
  send (options: InjectOptions): Promise<Answer>
  signup (username: string): Promise<Answer>
  login (username: string): Promise<Answer>
  refresh (): Promise<Answer>
  logout (): Promise<Answer>
  get (url: string): Promise<Answer>
  /** An attacker: another app with a copy of these tokens. */
  copy (): NativeApp
}

/** Creates a native app for the routes below `prefix`. */
export function nativeApp (app: FastifyInstance, prefix = '/auth'): NativeApp {
  const self: NativeApp = {
    accessToken: null,
    refreshToken: null,
    send: async options => await app.inject({ ...options, headers: { host: HOST, 'user-agent': 'Ada/1.0', ...options.headers } }),
    signup: async username => await post('signup', { username, password: PASSWORD }),
    login: async username => await post('login', { username, password: PASSWORD }),
    refresh: async () => await post('refresh', { refresh_token: self.refreshToken ?? '' }),
    logout: async () => await post('logout', { refresh_token: self.refreshToken ?? '' }),
    get: async url => await self.send({ url, headers: { authorization: `Bearer ${String(self.accessToken)}` } }),
    copy: () => Object.assign(nativeApp(app, prefix), { accessToken: self.accessToken, refreshToken: self.refreshToken })
  }

  async function post (route: string, payload: object): Promise<Answer> {
    const answer = await self.send({ method: 'POST', url: `${prefix}/${route}`, payload })
    if (answer.statusCode < 300 && answer.body !== '') {
      const { access_token: accessToken, refresh_token: refreshToken } = answer.json()
      Object.assign(self, { accessToken, refreshToken })
    }
    return answer
  }
  return self
}
