/** The part of autocannon that the benchmark uses; it is installed for the benchmark only. */
declare module 'autocannon' {
  export interface Client {
    on (event: 'headers', listener: (response: { readonly headers: readonly string[] }) => void): void
    setHeaders (headers: Readonly<Record<string, string>>): void
  }

  export interface Result {
    readonly requests: { readonly total: number }
    readonly non2xx: number
    readonly errors: number
    /** In seconds. */
    readonly duration: number
    /** In milliseconds. */
    readonly latency: { readonly p99: number }
  }

  export interface Options {
    readonly url: string
    readonly method: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
    readonly connections: number
    readonly duration: number
    /** Milliseconds. */
    readonly sampleInt?: number
    readonly setupClient?: (client: Client) => void
  }

  /** A running load, and its result. */
  export interface Cannon extends Promise<Result> {
    stop (): void
  }

  export default function autocannon (options: Options): Cannon
}
