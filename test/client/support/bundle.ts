import { build } from 'esbuild'

/** Bundles the text of a module as if it were in lib/client. */
export async function bundle (module: string, minify = false): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: module, resolveDir: 'lib/client' },
    bundle: true,
    minify,
    format: 'esm',
    target: 'es2022',
    write: false
  })
  return outputFiles.map(({ text }) => text).join('\n')
}
