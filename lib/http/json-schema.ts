/** A JSON schema as our routes write them: validation, OpenAPI and, by `FromSchema`, the TypeScript type come from it. */
export interface JsonSchema {
  readonly type: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly [keyword: string]: unknown
}

interface Primitives { string: string, integer: number, boolean: boolean, null: null }

/** The type of the values that a schema written `as const` describes. */
export type FromSchema<S> =
  S extends { const: infer Value } ? Value
    : S extends { type: 'object', properties: infer Properties, required: ReadonlyArray<infer Required> }
      ? { -readonly [K in keyof Properties as K extends Required ? K : never]: FromSchema<Properties[K]> } &
        { -readonly [K in keyof Properties as K extends Required ? never : K]?: FromSchema<Properties[K]> }
      : S extends { type: 'array', items: infer Items } ? Array<FromSchema<Items>>
        : S extends { type: ReadonlyArray<infer Type extends keyof Primitives> } ? Primitives[Type]
          : S extends { type: infer Type extends keyof Primitives } ? Primitives[Type]
            : never
