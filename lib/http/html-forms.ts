import { type FastifyReply, type FastifyRequest } from 'fastify'
import { AuthError } from '../errors.js'
import { isOwnOrigin } from './csrf.js'

/** A form of a page, with the field `redirect`: it is answered with 303, since a browser shows the reply. */
export class HtmlForm {
  /** The body as JSON. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The path to show after success. */
  readonly redirect: string
  /** The path to show after a refusal; null for the page of the form, by its Referer. */
  readonly failure: string | null

  constructor (fields: HtmlForm['fields'], redirect: string, failure: string | null) {
    this.fields = fields
    this.redirect = redirect
    this.failure = failure
  }
}

/** The forms of requests, by their request: a body has only the fields of its schema. */
const forms = new WeakMap<FastifyRequest, HtmlForm>()

export function rememberForm (request: FastifyRequest, form: HtmlForm): void {
  forms.set(request, form)
}

export function formOf (request: FastifyRequest): HtmlForm | undefined {
  return forms.get(request)
}

/**
 * Reads a form with the field `redirect` and no `grant_type`; undefined for any other. Null if a path is not one of this app or
 * missing beside `failure`, or a field is there twice. A checkbox for `remember` has a hidden field before it: `remember=false`,
 * then `remember=true`; the last one counts.
 */
export function readHtmlForm (body: string, names: Readonly<Record<string, string>>, remembers: boolean): HtmlForm | null | undefined {
  const form = new URLSearchParams(body)
  const redirectTo = form.get('redirect') ?? ''
  if (form.has('grant_type') || (redirectTo === '' && !form.has('failure'))) return undefined
  const single = ['redirect', 'failure', ...Object.keys(names)]
  if (single.some(name => form.getAll(name).length > 1)) return null
  const failTo = form.get('failure') ?? ''
  const [redirect, failure] = [ownPath(redirectTo), failTo === '' ? null : ownPath(failTo)]
  if (redirect === null || (failure === null && failTo !== '')) return null
  const fields = Object.entries(names).flatMap(([name, field]) => form.get(name) === null ? [] : [[field, form.get(name)]])
  const isForgotten = remembers && form.getAll('remember').at(-1) === 'false'
  return new HtmlForm({ ...Object.fromEntries(fields), ...(isForgotten && { remember: false }) }, redirect, failure)
}

const MAX_PATH_LENGTH = 2048

/** Printable ASCII but the backslash, which browsers read as a slash; a second slash would begin a host. */
const PATH = /^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/

/** A slash, backslash or control character that a proxy may decode after the first slash. */
const ENCODED_HOST = /^\/(?:\/|%(?:[01][0-9a-f]|20|2f|5c|7f))/i

/** The path of this origin that a text names, as a browser would resolve it; null for anything else (open redirect, CWE-601). */
export function ownPath (text: string): string | null {
  if (text.length > MAX_PATH_LENGTH || !PATH.test(text)) return null
  const { pathname, search, hash } = new URL(text, 'http://app.invalid')
  return ENCODED_HOST.test(pathname) ? null : pathname + search + hash // dot segments are resolved by now: '/..//evil'
}

/**
 * Sends the browser back to the page of the form, with the code of the refusal. False if the request is not a form, or the
 * page is unknown.
 */
export function redirectRefusal (request: FastifyRequest, reply: FastifyReply, error: { readonly code?: string, readonly statusCode?: number }): boolean {
  const form = formOf(request)
  const isRefusal = error instanceof AuthError || (error.statusCode !== undefined && error.statusCode < 500)
  const page = form === undefined || !isRefusal ? null : form.failure ?? pageOf(request)
  if (page === null) return false
  // They describe the refusal to a program; in a 303 Retry-After would delay the redirect (RFC 9110 section 10.2.3).
  reply.removeHeader('www-authenticate')
  reply.removeHeader('retry-after')
  const url = new URL(page, 'http://app.invalid')
  url.searchParams.set('error', String(error.code ?? error.statusCode))
  reply.redirect(url.pathname + url.search + url.hash, 303)
  return true
}

/** The path of the page that sent the form, if it is one of this origin. */
function pageOf ({ headers: { referer }, host }: FastifyRequest): string | null {
  if (referer === undefined || !URL.canParse(referer)) return null
  const { origin, pathname, search } = new URL(referer)
  return isOwnOrigin(origin, host) ? ownPath(pathname + search) : null
}
