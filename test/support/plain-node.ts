/**
 * The command that runs Node without the modules that tap loads into each child process: they double the start time,
 * and tap's coverage would treat the built copy of lib as lib.
 */
export const PLAIN_NODE: readonly [command: string, ...args: string[]] =
  process.platform === 'win32' ? [process.execPath] : ['/usr/bin/env', '-u', 'NODE_OPTIONS', process.execPath]

/** The environment of such a process, if the command alone is not enough. */
export const NO_COVERAGE = { _TAPJS_PROCESSINFO_COVERAGE_: '0' }
