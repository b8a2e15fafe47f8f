/**
 * Imported before everything else by each process that `test/run.js` starts. In tap's own loader, ts-node, every process
 * loads the compiler twice before its first line; these hooks load it for files that are not transpiled yet.
 */
import { register } from 'node:module'

process.env.TAP_TYPE_STRIP_ONLY = '1' // tap leaves TypeScript to its runtime
register('./typescript-hooks.js', import.meta.url)
