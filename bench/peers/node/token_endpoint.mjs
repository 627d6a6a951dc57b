// A token endpoint by oidc-provider, on loopback: DPoP with a nonce of the server's on every request,
// access tokens as ES256 JWTs of five minutes, bound to the proof's key.
//
// One line of JSON on standard input says whose keys the clients have, one on standard output what
// bench/oidc_provider.py needs to ask it. It ends when its standard input does.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

import { Provider } from 'oidc-provider'

const AUDIENCE = 'https://mail.example'
const SCOPE = 'events.read'
const USER = 'user-1'
const TOKEN_S = 300
const GRANT_S = 3600
const ASSERTION_CLIENT = 'by-assertion'
const SECRET_CLIENT = 'by-secret'
const GRANT_CLIENT = 'with-a-grant'

// Its own adapter for tests keeps the last thousand entries alone, and would forget proofs.
const kept = new Map()
class MapAdapter {
  constructor(model) {
    this.model = model
  }

  async upsert(id, payload) {
    kept.set(`${this.model}:${id}`, payload)
  }

  async find(id) {
    return kept.get(`${this.model}:${id}`)
  }

  async destroy(id) {
    kept.delete(`${this.model}:${id}`)
  }
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid: 'token-1', alg: 'ES256', use: 'sig' }
}

function clients({ assertion_key, secret }) {
  const common = {
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
    dpop_bound_access_tokens: true,
    id_token_signed_response_alg: 'ES256',
  }
  return [
    {
      ...common,
      client_id: ASSERTION_CLIENT,
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [assertion_key] },
    },
    {
      ...common,
      client_id: SECRET_CLIENT,
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_post',
      client_secret: secret,
    },
    {
      ...common,
      client_id: GRANT_CLIENT,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example/back'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
  ]
}

function configuration(asked, key) {
  const api = {
    scope: SCOPE,
    audience: AUDIENCE,
    accessTokenTTL: TOKEN_S,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'ES256' } },
  }
  return {
    adapter: MapAdapter,
    clients: clients(asked),
    jwks: { keys: [key] },
    // Without the second there is no refresh token grant.
    scopes: ['openid', 'offline_access', SCOPE],
    enabledJWA: { dPoPSigningAlgValues: ['ES256'], clientAuthSigningAlgValues: ['ES256'] },
    clientAuthMethods: ['private_key_jwt', 'client_secret_post', 'none'],
    // As Keystead's: a grant is renewed with the same handle while it lives.
    rotateRefreshToken: false,
    ttl: { Grant: GRANT_S, RefreshToken: GRANT_S },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: () => api,
        useGrantedResource: () => true,
      },
    },
  }
}

// What a user's consent would have left: a grant, and its handle bound to the agent's key.
async function refreshToken(provider, jkt) {
  const grant = new provider.Grant({ accountId: USER, clientId: GRANT_CLIENT })
  grant.addResourceScope(AUDIENCE, SCOPE)
  const handle = new provider.RefreshToken({
    accountId: USER,
    client: await provider.Client.find(GRANT_CLIENT),
    grantId: await grant.save(GRANT_S),
    gty: 'authorization_code',
    resource: AUDIENCE,
    scope: SCOPE,
    jkt,
  })
  return handle.save()
}

function version() {
  const members = new URL('./node_modules/oidc-provider/package.json', import.meta.url)
  return `oidc-provider ${JSON.parse(readFileSync(members)).version}, node ${process.version}`
}

async function start(asked) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${server.address().port}`
  const key = signingKey()
  const provider = new Provider(issuer, configuration(asked, key))
  server.on('request', provider.callback())
  return {
    issuer,
    version: version(),
    key: { kty: key.kty, crv: key.crv, x: key.x, y: key.y },
    assertion_client: ASSERTION_CLIENT,
    secret_client: SECRET_CLIENT,
    grant_client: GRANT_CLIENT,
    refresh_token: await refreshToken(provider, asked.grant_jkt),
  }
}

async function orFault(starting) {
  try {
    return await starting
  } catch (error) {
    return { fault: `${error.name}: ${error.error_description ?? error.message}` }
  }
}

const lines = createInterface({ input: process.stdin })
const [line] = await once(lines, 'line')
lines.on('close', () => process.exit())
process.stdout.write(`${JSON.stringify(await orFault(start(JSON.parse(line))))}\n`)
