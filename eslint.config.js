import neostandard, { resolveIgnoresFromGitignore } from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: resolveIgnoresFromGitignore() }),
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }]
    }
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', ...[
        "CallExpression[callee.property.name='match'] > ArrayExpression:nth-child(2)",
        "CallExpression[callee.property.name='match'] > ObjectExpression:nth-child(2) Property > ArrayExpression"
      ].map(selector => ({ selector, message: 'Write exactly(…) of test/support/exactly.ts: for t.match a list may go on, and an empty one is any' }))]
    }
  }
]
