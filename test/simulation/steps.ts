import fc from 'fast-check'
import { type Seconds } from '../../lib/time.js'
import { ACCESS, GRACE } from '../support/core.js'

/** Lifetimes so short that a script reaches both. */
export const IDLE: Seconds = 1000
export const ABSOLUTE: Seconds = 1500

/** The owners of the browsers: Ada has two. */
export const OWNERS = ['ada', 'ada', 'bob'] as const

const SHORT: Seconds[] = [1, GRACE - 1, GRACE, GRACE, GRACE + 1]
const LONG: Seconds[] = [ACCESS, IDLE - 1, IDLE, IDLE + 1, ABSOLUTE - 1, ABSOLUTE, ABSOLUTE + 1]

const browser = fc.constantFrom(0, 0, 0, 0, 1, 2, 2) // most happens at one, so that something happens to it
const subject = fc.constantFrom(...new Set(OWNERS))
const reply = fc.nat(9)

/** The steps with their weights. A logged-out user logs in instead of refreshing, and an attacker without a copy takes one. */
const kinds = [
  [14, fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(...SHORT) })],
  [2, fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(...LONG) })],
  [2, fc.record({ do: fc.constant('other instance' as const), behind: fc.constantFrom(0, GRACE / 3) })], // clocks may differ by so much
  [10, fc.record({ do: fc.constant('refresh' as const), browser })],
  [8, fc.record({ do: fc.constant('send' as const), browser })],
  [6, fc.record({ do: fc.constant('deliver' as const), reply })],
  [2, fc.record({ do: fc.constant('drop' as const), reply })],
  [2, fc.record({ do: fc.constant('tabs' as const), browser, count: fc.integer({ min: 2, max: 4 }) })],
  [1, fc.record({ do: fc.constant('login' as const), browser })],
  [1, fc.record({ do: fc.constant('logout' as const), browser })],
  [3, fc.record({ do: fc.constant('steal' as const), browser })],
  [6, fc.record({ do: fc.constant('thief refreshes' as const), browser })],
  [6, fc.record({ do: fc.constant('page view' as const), browser })],
  [8, fc.record({ do: fc.constant('thief views' as const), browser })],
  [1, fc.record({ do: fc.constant('disable' as const), subject })],
  [3, fc.record({ do: fc.constant('enable' as const), subject })],
  [1, fc.record({ do: fc.constant('end all' as const), subject })],
  [1, fc.record({ do: fc.constant('end another' as const), browser })],
  [1, fc.record({ do: fc.constant('change password' as const), browser })],
  [1, fc.record({ do: fc.constant('limit' as const), max: fc.constantFrom(1, 2, Infinity), whenFull: fc.constantFrom('endOldest' as const, 'refuseLogin' as const) })],
  [1, fc.record({ do: fc.constant('store fails' as const), times: fc.integer({ min: 1, max: 3 }) })],
  [2, fc.record({ do: fc.constant('killed after commit' as const) })],
  [4, fc.record({ do: fc.constant('store forgets' as const), browser })],
  [1, fc.record({ do: fc.constant('change key' as const) })],
  [1, fc.record({ do: fc.constant('purge' as const) })]
] as const

/** One step as plain data, so that a script runs on any store. */
export type Step = typeof kinds[number][1] extends fc.Arbitrary<infer T> ? T : never

const step: fc.Arbitrary<Step> = fc.oneof(...kinds.map(([weight, arbitrary]) => ({ weight, arbitrary: arbitrary as fc.Arbitrary<Step> }))) // map joins the kinds to one type

/** Scripts of up to 60 steps. An impossible step, such as delivering without a pending reply, does nothing. */
export const script: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 5, maxLength: 60, size: 'max' })
