/**
 * The transpiler of ts-node, by which tap loads TypeScript: each version of a file is transpiled once and then read from
 * the disk. Otherwise every test file would transpile all of lib anew, which takes longer than most of the tests.
 */
const { createHash } = require('node:crypto')
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const ts = require('typescript')

const FOLDER = join(__dirname, '../../.tap/transpiled')

exports.create = ({ service, nodeModuleEmitKind }) => {
  const { moduleResolution: _unused, ...options } = service.config.options
  const compilerOptions = { ...options, module: nodeModuleEmitKind === 'nodeesm' ? ts.ModuleKind.ESNext : ts.ModuleKind.CommonJS }
  const setting = JSON.stringify([ts.version, compilerOptions])
  mkdirSync(FOLDER, { recursive: true })

  return {
    transpile (code, { fileName }) {
      const file = join(FOLDER, createHash('sha256').update(`${setting}\n${fileName}\n${code}`).digest('hex'))
      return read(file) ?? write(file, ts.transpileModule(code, { fileName, compilerOptions, reportDiagnostics: true }))
    }
  }
}

function read (file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

/** Caches files without errors. Other processes see the whole file, or none. */
function write (file, { outputText, sourceMapText, diagnostics = [] }) {
  if (diagnostics.length > 0) return { outputText, sourceMapText, diagnostics }
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, JSON.stringify({ outputText, sourceMapText }))
  renameSync(draft, file)
  return { outputText, sourceMapText }
}
