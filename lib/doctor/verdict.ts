import { type Reply } from './connection.js'

/** The result of one check. */
export type Verdict =
  | { readonly result: 'ok' | 'skipped', readonly seen: string }
  | { readonly result: 'finding', readonly seen: string, readonly advice: string }

/** A line of the report. */
export type Row = Verdict & { readonly check: string }

export function ok (seen: string): Verdict {
  return { result: 'ok', seen }
}

export function skipped (seen: string): Verdict {
  return { result: 'skipped', seen }
}

export function finding (seen: string, advice: string): Verdict {
  return { result: 'finding', seen, advice }
}

/** The fields of a JSON object; an empty object for any other body. */
export function fieldsOf ({ body }: Pick<Reply, 'body'>): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(body))
  } catch {
    return {}
  }
}

/** The status, and the error code if there is one. */
export function answerOf (reply: Reply): string {
  const { code } = fieldsOf(reply)
  return typeof code === 'string' ? `${reply.status} ${code}` : String(reply.status)
}
