/**
 * The body that a form of OAuth2 stands for (RFC 6749 sections 4.3.2 and 6): `names` says what its fields are called
 * there. Fields of the standard that mean nothing here (scope, client_id, …) and unknown ones are ignored, and an empty
 * one was not sent (section 3.2); one sent twice is not, nor is another grant_type: null then.
 */
export function readOAuthForm (body: string, grantType: string, names: Readonly<Record<string, string>>): Record<string, string> | null {
  const form = new URLSearchParams(body)
  const sent = ['grant_type', ...Object.keys(names)].flatMap(name => form.getAll(name).map(value => [name, value] as const))
  if (new Set(sent.map(([name]) => name)).size < sent.length) return null
  const { grant_type: type = grantType, ...fields } = Object.fromEntries(sent.filter(([, value]) => value !== ''))
  if (type !== grantType) return null
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [String(names[name]), value]))
}
