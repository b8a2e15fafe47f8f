#!/usr/bin/env node
import { run } from '../dist/cjs/doctor/command.js'

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  print: text => console.log(text),
  printError: text => console.error(text)
})
