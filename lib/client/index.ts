export { AuthError, type AuthProblem, type Fetch } from './requests.js'
export { createAuthClient, type AuthClient, type AuthClientOptions } from './auth-client.js'
export { type AccessClaims, type AuthState } from './requests.js'
