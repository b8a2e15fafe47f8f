import t from 'tap'
import { SHARED_STORES } from './app-process.js'
import { manyProcesses } from './many-processes.js'

await manyProcesses(t, SHARED_STORES.PostgreSQL)
