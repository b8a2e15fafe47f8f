import { createHash } from 'node:crypto'
import { type Session, type SessionChange, type RevokeReason } from '../../sessions/session.js'
import { type EpochSeconds } from '../../time.js'

/** A step that Redis takes at once, on one key. */
export interface RedisScript {
  readonly text: string
  /** What EVALSHA calls it by. */
  readonly sha: string
}

/**
 * How a session is kept: as a JSON array in these fields' order, which begins with its generation. One that ended has
 * its reason and its time in front. So the scripts compare and change the beginning of a text and parse nothing.
 */
const FIELDS = ['generation', 'previous', 'rotatedAt', 'idleExpiresAt', 'authTime', 'subject', 'createdAt', 'expiresAt', 'userAgent', 'ip'] as const satisfies ReadonlyArray<keyof Session>

/** A session as its key holds it. */
export function textOf (session: Session): string {
  return JSON.stringify(FIELDS.map(field => session[field]))
}

/** The session of an id, from what its key holds. */
export function sessionOf (id: string, text: string): Session {
  const values = JSON.parse(text) as unknown[] // whatever else there is fails here or was not written by this store
  const [reason, revokedAt] = typeof values[0] === 'string' ? values.splice(0, 2) : [null, null]
  const fields = FIELDS.map((field, index) => [field, values[index]])
  return { id, ...Object.fromEntries(fields), revokedAt, reason } as Session // as textOf wrote it
}

/** What the text of a live session of a generation begins with. */
export function beginningOf (generation: number): string {
  return `[${generation},`
}

/** What an advance puts before the authTime. */
export function changeOf ({ generation, previous, rotatedAt, idleExpiresAt }: SessionChange): string {
  return `[${generation},${previous},${rotatedAt},${idleExpiresAt},`
}

/** What an end puts before the generation. */
export function endOf (reason: RevokeReason, at: EpochSeconds): string {
  return `[${JSON.stringify(reason)},${at},`
}

function script (text: string): RedisScript {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** Session key; its text, milliseconds to live. Nil where there is one. */
export const CREATE = script("return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX')")

/** Session key. Its text or nil. A script too, since a plain GET may be answered by a replica or a client's cache. */
export const READ = script("return redis.call('GET', KEYS[1])")

/** Session key; beginningOf, changeOf, authTime or ''. The new text, or nil where the beginning is another one. */
export const ADVANCE = script(`
local session = redis.call('GET', KEYS[1])
if not session or string.sub(session, 1, #ARGV[1]) ~= ARGV[1] then return false end
local authTime, rest = string.match(session, '^[^,]+,[^,]+,[^,]+,[^,]+,([^,]+)(.*)$')
if ARGV[3] ~= '' then authTime = ARGV[3] end
session = ARGV[2] .. authTime .. rest
redis.call('SET', KEYS[1], session, 'KEEPTTL')
return session
`)

/** Session key; endOf, and where others are to be told: channel, message. Nil where there is nothing to end. */
export const REVOKE = script(`
local session = redis.call('GET', KEYS[1])
if not session or string.sub(session, 1, 2) == '["' then return false end
if ARGV[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[1] .. string.sub(session, 2), 'KEEPTTL')
return 1
`)

/** Key of the marker; what was found or '', and what replaces it. Nil where something else is there. */
export const REPLACE = script(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`)

/** Index key; channel, message. */
export const TELL = script("return redis.call('PUBLISH', ARGV[1], ARGV[2])")

/** Any key. The seconds since 1970, as a text with a fraction. */
export const TIME = script("local time = redis.call('TIME') return time[1] .. '.' .. string.format('%06d', time[2])")

/**
 * Index key; now, the session's createdAt, its id, the seconds that it lasts, milliseconds to live. The index is ordered
 * by createdAt, then by id. In front of all there is an empty id, whose score is the longest time that a session of the
 * index lasts, below zero: older ones leave the index, some at each login.
 */
export const INDEX = script(`
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
 * Index key; createdAt and id of a place, how many. The ids behind that place, each with its createdAt. What is no longer
 * in the index is put there for a moment, to find its place.
 */
export const LIST = script(`
local added = redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[2])
local first = redis.call('ZRANK', KEYS[1], ARGV[2]) + 1
if added == 1 then
  redis.call('ZREM', KEYS[1], ARGV[2])
  first = first - 1
end
return redis.call('ZRANGE', KEYS[1], first, first + ARGV[3] - 1, 'WITHSCORES')
`)

/** Index key; ids that leave it. */
export const FORGET = script(`
for _, id in ipairs(ARGV) do redis.call('ZREM', KEYS[1], id) end
return 1
`)

/**
 * Key without a value; channel. The commands that the user may not run, each with the error. None of them writes, and
 * receivers drop the empty message. Redis 6 cannot ask for SUBSCRIBE without running it, which no script may.
 */
export const RIGHTS: RedisScript = {
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
try('publish', ARGV[1], '')
if redis.acl_check_cmd and not redis.acl_check_cmd('subscribe', ARGV[1]) and redis.acl_check_cmd('publish', ARGV[1]) then
  table.insert(refused, 'subscribe NOPERM')
end
return refused
`,
  // No server has a script of this hash, so that the user needs both EVALSHA and EVAL.
  sha: '0'.repeat(40)
}
