/**
 * Imported before everything else by each process that `test/run.js` starts. In tap's own loader, ts-node, every process
 * loads the compiler twice before its first line; these hooks load it for files that are not transpiled yet.
 */
import { register } from 'node:module'

process.env.TAP_TYPE_STRIP_ONLY = '1' // tap leaves TypeScript to its runtime
// Coverage counts lib itself: the build has the same functions at other places, and would count them once more.
process.env._TAPJS_PROCESSINFO_COV_EXCLUDE_ = String(/[\\/](?:node_modules|dist)[\\/]/)
register('./typescript-hooks.js', import.meta.url)
