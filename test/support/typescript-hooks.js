/** Module hooks that load TypeScript. Each version of a file is transpiled once and then read from the disk. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const TRANSPILED = new URL('../../.tap/transpiled/', import.meta.url)
const SETTINGS = { target: 'ES2023', module: 'ESNext', verbatimModuleSyntax: true, sourceMap: true }
const KEY = JSON.stringify([SETTINGS, readFileSync(new URL('../../node_modules/typescript/package.json', import.meta.url), 'utf8')])

mkdirSync(TRANSPILED, { recursive: true })

/** `./x.js` is `./x.ts` where only that exists. */
export async function resolve (specifier, context, nextResolve) {
  if (/^\.\.?\/.*\.js$/.test(specifier) && context.parentURL?.includes('.ts')) {
    const url = new URL(specifier.replace(/js$/, 'ts'), context.parentURL)
    if (existsSync(url)) return { url: url.href, format: 'module', shortCircuit: true }
  }
  return await nextResolve(specifier, context)
}

export async function load (url, context, nextLoad) {
  const { href, pathname } = new URL(url)
  if (!pathname.endsWith('.ts')) return await nextLoad(url, context)
  return { format: 'module', source: await transpiled(href.replace(/[?#].*/, '')), shortCircuit: true }
}

async function transpiled (url) {
  const code = readFileSync(new URL(url), 'utf8')
  const file = new URL(createHash('sha256').update(`${KEY}\n${url}\n${code}`).digest('hex'), TRANSPILED)
  return existsSync(file) ? readFileSync(file, 'utf8') : write(file, await transpile(url, code))
}

async function transpile (url, code) {
  const { default: ts } = await import('typescript')
  const { outputText, sourceMapText } = ts.transpileModule(code, { fileName: fileURLToPath(url), compilerOptions: SETTINGS })
  const map = Buffer.from(JSON.stringify({ ...JSON.parse(sourceMapText), sources: [url] })).toString('base64')
  return outputText.replace(/\/\/# sourceMappingURL=.*$/, `//# sourceMappingURL=data:application/json;base64,${map}`)
}

/** Other processes see the whole file, or none. */
function write (file, text) {
  const draft = new URL(`${file.href}.${process.pid}`)
  writeFileSync(draft, text)
  renameSync(draft, file)
  return text
}
