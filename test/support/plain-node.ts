/**
 * The command that runs Node without the modules that tap loads into each child process: they double the time of a
 * start, and tap's coverage would take the built copy of lib for lib.
 */
export const PLAIN_NODE: readonly [command: string, ...args: string[]] =
  process.platform === 'win32' ? [process.execPath] : ['/usr/bin/env', '-u', 'NODE_OPTIONS', process.execPath]

/** The environment of such a process, for where the command alone does not do it. */
export const NO_COVERAGE = { _TAPJS_PROCESSINFO_COVERAGE_: '0' }
