const text = { type: 'string' }
const textOrNull = { type: ['string', 'null'] }
const time = { type: 'string', format: 'date-time' }

export const user = {
  type: 'object',
  properties: { id: text, username: text },
  required: ['id', 'username']
}

export const activityList = {
  type: 'array',
  items: {
    type: 'object',
    properties: { type: text, reason: textOrNull, at: time, userAgent: textOrNull, ip: textOrNull },
    required: ['type', 'reason', 'at', 'userAgent', 'ip']
  }
}

export const userData = {
  type: 'object',
  properties: {
    id: text,
    username: text,
    createdAt: time,
    devices: { type: 'array', items: { type: 'object', additionalProperties: true } }, // as in GET /auth/sessions
    activity: activityList
  },
  required: ['id', 'username', 'createdAt', 'devices', 'activity']
}

/** The body of an error reply of Fastify. */
export const error = {
  description: 'The access token is missing or not valid, or the route needs a fresh login: `code` says which.',
  type: 'object',
  properties: { statusCode: { type: 'integer' }, code: text, error: text, message: text }
}
