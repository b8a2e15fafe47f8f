import { createHash } from 'node:crypto'
import { type Session, type SessionChange, type RevokeReason } from '../../sessions/session.js'
import { type EpochSeconds } from '../../time.js'

/** A Lua script, which Redis runs atomically, on one key. */
export interface RedisScript {
  readonly text: string
  /** For EVALSHA. */
  readonly sha: string
}

/**
 * A session is stored as a JSON array of these fields, the generation first. A revoked one has its reason and time in
 * front of that. So the scripts compare and replace the start of a string, and parse no JSON.
 */
const FIELDS = ['generation', 'previous', 'rotatedAt', 'idleExpiresAt', 'authTime', 'subject', 'createdAt', 'expiresAt', 'userAgent', 'ip'] as const satisfies ReadonlyArray<keyof Session>

/** The value of a session's key. */
export function serialize (session: Session): string {
  return JSON.stringify(FIELDS.map(field => session[field]))
}

export function deserialize (id: string, text: string): Session {
  const values = JSON.parse(text) as unknown[] // fails for a value that is no JSON
  const [reason, revokedAt] = typeof values[0] === 'string' ? values.splice(0, 2) : [null, null]
  const fields = FIELDS.map((field, index) => [field, values[index]])
  return { id, ...Object.fromEntries(fields), revokedAt, reason } as Session // as serialize wrote it
}

/** The start of the value of a live session at a generation. */
export function generationPrefix (generation: number): string {
  return `[${generation},`
}

/** The fields that an advance writes before authTime. */
export function changedPrefix ({ generation, previous, rotatedAt, idleExpiresAt }: SessionChange): string {
  return `[${generation},${previous},${rotatedAt},${idleExpiresAt},`
}

/** The fields that a revocation adds before the generation. */
export function revokedPrefix (reason: RevokeReason, at: EpochSeconds): string {
  return `[${JSON.stringify(reason)},${at},`
}

function script (text: string): RedisScript {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** Session key; value, time to live in ms. Nil if the session exists. */
export const CREATE = script("return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX')")

/** Session key. Returns its value or nil. A script, since a replica or a client-side cache may answer a plain GET. */
export const READ = script("return redis.call('GET', KEYS[1])")

/** Compare-and-set. Session key; generationPrefix, changedPrefix, authTime or ''. Returns the new value, or nil if the start differs. */
export const ADVANCE = script(`
local session = redis.call('GET', KEYS[1])
if not session or string.sub(session, 1, #ARGV[1]) ~= ARGV[1] then return false end
local authTime, rest = string.match(session, '^[^,]+,[^,]+,[^,]+,[^,]+,([^,]+)(.*)$')
if ARGV[3] ~= '' then authTime = ARGV[3] end
session = ARGV[2] .. authTime .. rest
redis.call('SET', KEYS[1], session, 'KEEPTTL')
return session
`)

/**
 * Session key; revokedPrefix, and optionally channel and message to publish. Nil if there is no live session. A full Redis checks
 * only the first write of a script, and PEXPIRE is one that it accepts: a session can be ended all the same.
 */
export const REVOKE = script(`
local session = redis.call('GET', KEYS[1])
if not session or string.sub(session, 1, 2) == '["' then return false end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) end
if ARGV[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[1] .. string.sub(session, 2), 'KEEPTTL')
return 1
`)

/** Compare-and-set of the owner's marker. Its key; the expected value or '', the new value. Nil if the value differs. */
export const COMPARE_AND_SET = script(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`)

/** Any key; channel, message. */
export const PUBLISH = script("return redis.call('PUBLISH', ARGV[1], ARGV[2])")

/** Any key. Returns the seconds since 1970, as a decimal string. */
export const TIME = script("local time = redis.call('TIME') return time[1] .. '.' .. string.format('%06d', time[2])")

/**
 * Adds a session to its user's index. Index key; now, createdAt, id, lifetime in seconds, time to live in ms. The index
 * is ordered by createdAt, then by id. Its first member is an empty id with the longest lifetime of its sessions as a
 * negative score: each login removes some sessions older than that.
 */
export const ADD_TO_INDEX = script(`
local oldest = redis.call('ZRANGE', KEYS[1], 0, 100, 'WITHSCORES')
local longest = tonumber(ARGV[4])
if oldest[1] == '' then longest = math.max(longest, -oldest[2]) end
for place = 1, #oldest, 2 do
  if oldest[place] ~= '' and oldest[place + 1] + longest < tonumber(ARGV[1]) then redis.call('ZREM', KEYS[1], oldest[place]) end
end
redis.call('ZADD', KEYS[1], -longest, '', ARGV[2], ARGV[3])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return 1
`)

/**
 * Index key; createdAt and id of a position, limit. Returns the ids after that position, each with its createdAt. An id
 * that has left the index is added for a moment, to find its rank; the ZREM before is a write that a full Redis accepts.
 */
export const LIST = script(`
redis.call('ZREM', KEYS[1], '\\0')
local added = redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[2])
local first = redis.call('ZRANK', KEYS[1], ARGV[2]) + 1
if added == 1 then
  redis.call('ZREM', KEYS[1], ARGV[2])
  first = first - 1
end
return redis.call('ZRANGE', KEYS[1], first, first + ARGV[3] - 1, 'WITHSCORES')
`)

/** Index key; the ids to delete from it. */
export const REMOVE_FROM_INDEX = script(`
for _, id in ipairs(ARGV) do redis.call('ZREM', KEYS[1], id) end
return 1
`)

/**
 * Key without a value; channel. Returns the commands that the user may not run, each with its error. None of them
 * writes, and subscribers drop the empty message. Redis 6 can test SUBSCRIBE only by running it, which scripts may not.
 */
export const CHECK_RIGHTS: RedisScript = {
  text: `
local refused = {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then table.insert(refused, name .. ' ' .. reply.err) end
end
try('get', KEYS[1])
try('set', KEYS[1], '', 'XX')
try('zadd', KEYS[1], 'XX', 0, '')
try('zrange', KEYS[1], 0, -1)
try('zrank', KEYS[1], '')
try('zrem', KEYS[1], '')
try('pttl', KEYS[1])
try('pexpire', KEYS[1], 1)
try('time')
try('publish', ARGV[1], '')
if redis.acl_check_cmd and not redis.acl_check_cmd('subscribe', ARGV[1]) and redis.acl_check_cmd('publish', ARGV[1]) then
  table.insert(refused, 'subscribe NOPERM')
end
return refused
`,
  // No script has this hash, so the check needs the rights to both EVALSHA and EVAL.
  sha: '0'.repeat(40)
}
