import { readFileSync } from 'node:fs'
import { metrics } from '@opentelemetry/api'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import t from 'tap'
import refreshCookie from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, SECRET, userTable } from '../support/server.js'
import { recipe, type RecipeSurroundings } from './recipe.js'

const WITH_LOGINS: RecipeSurroundings = {
  before: async app => { await app.register(refreshCookie, { secret: SECRET, users: userTable(), passwords: FAST_HASHING }) }
}

/** The metrics as Prometheus reads them, after a login and a refresh that was refused. */
async function scraped (t: Parameters<typeof recipe>[0]): Promise<string> {
  const { app, browser } = await recipe(t, 'prom-client', WITH_LOGINS)
  await browser().signup('ada')
  await browser().login('ada')
  await browser().refresh()
  return (await app.inject('/metrics')).body
}

t.test('metrics by prom-client, and a dashboard of their names', async t => {
  const text = await scraped(t)
  t.match(text, 'auth_events_total{type="login",detail=""} 2', 'a signup logs in too')
  t.match(text, 'auth_events_total{type="refresh_refused",detail="FST_AUTH_REFRESH_TOKEN_MISSING"} 1')
  t.match(text, 'auth_operation_seconds_count{kind="route",name="login",outcome="ok"} 1')
  t.match(text, 'auth_operation_seconds_count{kind="route",name="refresh",outcome="FST_AUTH_REFRESH_TOKEN_MISSING"} 1')
  t.match(text, 'auth_operations_under_way{kind="password",name="work"} 0')
  for (const series of ['type="reuse",detail=""', 'type="store_unavailable",detail=""', 'type="refresh",detail="heal"']) t.match(text, `auth_events_total{${series}} 0`, 'an alert needs a value before the first one')

  const names = new Set([...text.matchAll(/^(auth_\w+)/gm)].map(([, name]) => name))
  const labels = new Set([...text.matchAll(/(\w+)="/g)].map(([, label]) => label))
  const queries = [
    ...JSON.parse(readFileSync('docs/grafana-dashboard.json', 'utf8')).panels.flatMap((panel: { targets: Array<{ expr: string }> }) => panel.targets.map(({ expr }) => expr)),
    ...[...readFileSync('docs/metrics.md', 'utf8').matchAll(/^\| .* \| `(.*)`/gm)].map(([, query]) => query).filter(query => query?.includes('auth_'))
  ]
  t.ok(queries.length > 10)
  for (const query of queries) {
    t.strictSame([...query.matchAll(/auth_\w+/g)].map(([name]) => name).filter((name: string) => !names.has(name)), [], query)
    t.strictSame([...query.matchAll(/(\w+)(?==~?"|!=")/g)].map(([name]) => name).filter((name: string) => !labels.has(name)), [], query)
  }
})

t.test('metrics by OpenTelemetry', async t => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)
  t.teardown(async () => { await provider.shutdown() })
  const { browser } = await recipe(t, 'opentelemetry', WITH_LOGINS)
  await browser().signup('ada')
  await browser().refresh()
  await reader.forceFlush()
  const exported = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics).flatMap(scope => scope.metrics)
  const points = (name: string) => exported.find(({ descriptor }) => descriptor.name === name)?.dataPoints.map(({ attributes, value }) => ({ ...attributes, value })) ?? []
  t.match(points('auth.events'), exactly({ type: 'reuse', detail: '', value: 0 }, { type: 'store_unavailable', value: 0 }, { type: 'refresh', detail: 'heal', value: 0 }, { type: 'signup', detail: '', value: 1 }, { type: 'login', value: 1 }, { type: 'refresh_refused', detail: 'FST_AUTH_REFRESH_TOKEN_MISSING', value: 1 }))
  t.strictSame([...new Set(points('auth.operations.under_way').map(({ value }) => value))], [0])
  t.match(points('auth.operation.duration').find(point => 'name' in point && point.name === 'signup'), { kind: 'route', outcome: 'ok', value: { count: 1 } })
})
