/** A pattern of `t.match` for exactly these members: an array as a pattern would allow more. */
export function exactly (...members: readonly unknown[]): object {
  return { ...members, length: members.length }
}
