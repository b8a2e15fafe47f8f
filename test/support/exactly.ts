/** A pattern of `t.match` for a list of these members and no others: an array as a pattern would let the list go on. */
export function exactly (...members: readonly unknown[]): object {
  return { ...members, length: members.length }
}
