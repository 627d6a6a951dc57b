// One job: a JSON object on standard input, and what came of it, another one, on standard output.

import { text } from 'node:stream/consumers'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

export async function readJob() {
  return JSON.parse(await text(process.stdin))
}

export function answer(document) {
  process.stdout.write(JSON.stringify(document) + '\n')
}

// The parameters of an exchange (RFC 8693, section 2.1).
export function exchangeParameters(job, changes = {}) {
  return {
    subject_token: job.subject_token,
    subject_token_type: ACCESS_TOKEN,
    audience: job.audience,
    scope: job.scope,
    ...changes,
  }
}

// fetch that notes what was answered.
export function notingFetch(log) {
  return async (url, options) => {
    const response = await fetch(url, options)
    log.push({ method: options.method, path: new URL(url).pathname, status: response.status })
    return response
  }
}

// How a library shows an OAuth error to its caller.
export async function refusal(attempt) {
  try {
    await attempt()
  } catch (error) {
    return {
      name: error.name,
      code: error.code,
      status: error.status,
      error: error.error,
      description: error.error_description,
    }
  }
  return { name: 'none' }
}
