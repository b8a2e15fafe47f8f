// A Next.js app whose pages only have the cookie: eight tabs of one browser, six parallel server components in each page, access
// tokens that expire after 2 seconds, and a tenth of the replies lost. Nobody may be logged out, and the session may rotate at most
// once per grace period. Not part of the tests, since it installs Next.js: `npm run check:next -- 60` runs it for 60 seconds.

import Fastify from 'fastify'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import refreshCookie from 'fastify-refresh-cookie'

const seconds = Number(process.argv[2] ?? 60)
const GRACE = 3
const PORT = 4502
const root = fileURLToPath(new URL('../..', import.meta.url))

const FILES = {
  'package.json': '{ "private": true, "type": "module" }',
  'proxy.js': `import { NextResponse } from 'next/server'
import { refreshSession } from 'fastify-refresh-cookie/server'
export async function proxy (request) {
  const refreshed = await refreshSession(request.headers, { url: process.env.AUTH_URL, refreshAfter: ${GRACE + 1} })
  if (refreshed === null) return NextResponse.next()
  const headers = new Headers(request.headers)
  headers.set('cookie', refreshed.cookie)
  const response = NextResponse.next({ request: { headers } })
  for (const line of refreshed.setCookie) response.headers.append('set-cookie', line)
  response.headers.set('cache-control', 'private, no-store')
  return response
}`,
  'app/layout.js': 'export default function Layout ({ children }) { return <html><body>{children}</body></html> }',
  'app/page.js': `import { cache } from 'react'
import { headers } from 'next/headers'
import { getSession } from 'fastify-refresh-cookie/server'
const load = async () => await getSession(await headers(), { url: process.env.AUTH_URL })
const cached = cache(load)
async function Part ({ n }) {
  const session = await (n % 2 ? cached() : load())
  return <p>user-{session?.sub ?? 'nobody'}</p>
}
export default async function Page () {
  return <main>{[1, 2, 3, 4, 5, 6].map(n => <Part key={n} n={n} />)}</main>
}`
}

const events = {}
const app = Fastify()
await app.register(refreshCookie, {
  secret: 'k7Q9vX2mP4sT8wZ1bN6cR3fH5jL0dG7yA2eU9iO4',
  routes: { session: '/session' },
  cookie: { sameSite: 'lax' },
  accessToken: { expiresIn: 2 },
  refreshToken: { grace: GRACE },
  onEvent (event) {
    const name = event.type === 'refresh' ? `refresh ${event.outcome}` : event.type
    events[name] = (events[name] ?? 0) + 1
  }
})
app.post('/enter', async request => await request.auth.login('7'))
const auth = await app.listen({ port: 0, host: '127.0.0.1' })

const folder = mkdtempSync(join(tmpdir(), 'next-'))
const next = join(folder, 'node_modules/next/dist/bin/next')
const env = { ...process.env, AUTH_URL: `${auth}/auth`, NEXT_TELEMETRY_DISABLED: '1' }
const totals = { views: 0, nobody: 0, lost: 0, errors: 0 }
try {
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  execFileSync('npm', ['install', '--no-audit', '--no-fund', 'next@16', 'react@19', 'react-dom@19'], { cwd: folder, stdio: 'inherit' })
  symlinkSync(root, join(folder, 'node_modules/fastify-refresh-cookie'), 'dir')
  execFileSync(process.execPath, [next, 'build', '--webpack'], { cwd: folder, env, stdio: 'inherit' })
  const server = spawn(process.execPath, [next, 'start', '-p', String(PORT), '-H', '127.0.0.1'], { cwd: folder, env, stdio: 'inherit' })
  try {
    await drive()
  } finally {
    server.kill()
  }
} finally {
  await app.close()
  rmSync(folder, { recursive: true, force: true })
}
console.log({ seconds, ...totals, events })
const rotations = events['refresh rotate'] ?? 0
process.exitCode = totals.views > 0 && rotations > 0 && totals.nobody === 0 && totals.errors === 0 && events.throttled === undefined && rotations <= seconds / GRACE + 1 ? 0 : 1

async function drive () {
  const entered = await fetch(`${auth}/enter`, { method: 'POST' })
  let cookie = cookieOf(entered.headers.getSetCookie())
  const headers = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }
  // Not fetch, which sends a Sec-Fetch-Mode of its own.
  const page = () => new Promise((resolve, reject) => {
    get(`http://127.0.0.1:${PORT}/`, { headers: { ...headers, cookie } }, async response => {
      const text = (await response.setEncoding('utf8').toArray()).join('')
      resolve({ text, status: response.statusCode, lines: response.headers['set-cookie'] ?? [] })
    }).on('error', reject)
  })
  for (let attempt = 0; attempt < 50; attempt++) {
    if (await page().then(() => true, () => false)) break
    await setTimeout(200)
  }
  const until = Date.now() + seconds * 1000
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (Date.now() < until) {
      const { text, status, lines } = await page()
      const users = [...text.matchAll(/<p>user-(?:<!-- -->)?(\w+)<\/p>/g)].map(([, user]) => user)
      totals.views++
      if (status !== 200 || users.length !== 6) totals.errors++
      totals.nobody += users.filter(user => user !== '7').length
      if (Math.random() < 0.1) totals.lost++
      else cookie = cookieOf(lines) || cookie
      await setTimeout(100 + Math.random() * 1500)
    }
  }))
}

function cookieOf (lines) {
  return lines.map(line => line.split(';', 1)[0]).filter(pair => pair.startsWith('__Host-Http-refresh=')).at(-1) ?? ''
}
