/**
 * Reads an OAuth 2.0 form (RFC 6749 sections 4.3.2 and 6) as a JSON body; `names` maps its fields to those of the body. Other
 * fields (scope, client_id, …) and empty ones are ignored (section 3.2). Null for a repeated field or another grant_type.
 */
export function readOAuthForm (body: string, grantType: string, names: Readonly<Record<string, string>>): Record<string, string> | null {
  const form = new URLSearchParams(body)
  const sent = Object.entries({ grant_type: 'grant_type', ...names }).flatMap(([name, field]) => form.getAll(name).map(value => [field, value] as const))
  if (new Set(sent.map(([field]) => field)).size < sent.length) return null
  const { grant_type: type = grantType, ...fields } = Object.fromEntries(sent.filter(([, value]) => value !== ''))
  return type === grantType ? fields : null
}
