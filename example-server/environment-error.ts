/** A setting that cannot work: the server says this one sentence and does not start. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError'
}

/** Which variable sets which option of the plugin. */
const VARIABLES: Readonly<Record<string, string>> = {
  secret: 'AUTH_SECRET',
  trustedOrigins: 'TRUSTED_ORIGINS',
  'accessToken.expiresIn': 'ACCESS_TTL',
  'refreshToken.idle': 'REFRESH_IDLE',
  'refreshToken.absolute': 'REFRESH_ABSOLUTE',
  'refreshToken.grace': 'GRACE',
  'cookie.secure': 'COOKIE_SECURE',
  revocation: 'REVOCATION'
}

/** The plugin's refusal of an option, in the words of whoever set a variable; any other error as it is. */
export function inWordsOfEnvironment (error: unknown): unknown {
  if (!(error instanceof TypeError) || !error.message.startsWith('option "')) return error
  const message = error.message.replaceAll(/(?:option )?"([\w.]+)(?:\[\d+\])?"/g, (words, option: string) => VARIABLES[option] ?? words)
  return new EnvironmentError(message, { cause: error })
}
