import t from 'tap'
import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { detect, navigate, type Detection, type Navigations } from './page-scenarios.js'
import { HABITS, type Habit } from './scenarios.js'
import { BAD, PERFECT } from './world.js'

const RUNS = 20
const NAVIGATIONS = 60
const THEFTS = 100

const STRICT: Partial<RotationPolicy> = { grace: 0, recoverLostReply: false }
const [random, polling] = [HABITS['random'] as Habit, HABITS['polling'] as Habit] // both are in the table

async function browse (policy: Partial<RotationPolicy>, use: Parameters<typeof navigate>[1]): Promise<Navigations> {
  const total = { refused: 0, views: 0, rotations: 0 }
  for (let seed = 1; seed <= RUNS; seed++) {
    const { refused, views, rotations } = await navigate(policy, use, NAVIGATIONS, seed)
    Object.assign(total, { refused: total.refused + refused, views: total.views + views, rotations: total.rotations + rotations })
  }
  return total
}

async function steal (verb: 'identify' | 'refresh' | 'both', habit: Habit): Promise<Detection[]> {
  const detections: Detection[] = []
  for (let seed = 1; seed <= THEFTS; seed++) detections.push(await detect({}, verb, habit, seed))
  return detections.sort((one, other) => one.found - other.found)
}

const medianOf = (detections: readonly Detection[]): number => detections[Math.floor(detections.length / 2)]?.found ?? NaN

for (const [name, use] of Object.entries({
  'one tab, perfect network': { tabs: 1, network: PERFECT, gap: 60 },
  '8 tabs, bad network': { tabs: 8, network: BAD, gap: 60 },
  '8 tabs, hurried, bad network': { tabs: 8, network: BAD, gap: 5 }
})) {
  t.test(`honest navigations are never refused: ${name}`, async t => {
    const { refused, views, rotations } = await browse({}, use)
    t.comment(`${views} page views, ${rotations} rotations, ${refused} refused`)
    t.equal(refused, 0)
    t.ok(views > RUNS * NAVIGATIONS && rotations > RUNS)
    t.ok((await browse(STRICT, use)).refused > 0, 'strict rotation refuses some, so the simulation can fail')
  })
}

t.test('token theft: an attacker who only reads pages is detected once the owner has rotated twice', async t => {
  const detections = await steal('identify', polling)
  t.comment(`median ${medianOf(detections)} s`)
  t.strictSame([...new Set(detections.map(({ rotations }) => rotations))], [2])
  t.ok(detections.every(({ found }) => Number.isFinite(found)))
})

t.test('token theft: reading pages, too, delays no detection', async t => {
  for (const habit of [random, polling]) {
    const [alone, both] = [await steal('refresh', habit), await steal('both', habit)]
    t.comment(`median ${medianOf(alone)} s with refreshes alone, ${medianOf(both)} s with pages, too`)
    t.strictSame(both.map(({ found }) => found), alone.map(({ found }) => found))
  }
})
