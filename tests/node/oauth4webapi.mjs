// The same with npm's oauth4webapi, which leaves the retry with a nonce to its caller.

import * as oauth from 'oauth4webapi'

import { answer, exchangeParameters, notingFetch, readJob, refusal, TOKEN_EXCHANGE } from './job.mjs'
import { tpmKeyPair } from './tpm_key.mjs'

const job = await readJob()
const http = []
const options = {
  [oauth.allowInsecureRequests]: true, // plain HTTP: the server is on loopback
  [oauth.customFetch]: notingFetch(http),
}
const issuer = new URL(job.issuer)
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options }), // RFC 8414
)
const client = { client_id: job.client_id }
const DPoP = oauth.DPoP(client, await tpmKeyPair(job.jwk, job.signer))

async function withNonce(attempt) {
  try {
    return await attempt()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return attempt()
  }
}

async function exchange(changes) {
  const parameters = new URLSearchParams(exchangeParameters(job, changes))
  const response = await oauth.genericTokenEndpointRequest(
    as, client, oauth.None(), TOKEN_EXCHANGE, parameters, { DPoP, ...options },
  )
  return oauth.processGenericTokenEndpointResponse(as, client, response)
}

async function renew(refreshToken) {
  const response = await oauth.refreshTokenGrantRequest(
    as, client, oauth.None(), refreshToken, { DPoP, ...options },
  )
  return oauth.processRefreshTokenResponse(as, client, response)
}

const call = (token) =>
  oauth.protectedResourceRequest(token, 'GET', new URL(job.api), undefined, null, {
    DPoP,
    ...options,
  })

const issued = await withNonce(() => exchange())
const renewed = await renew(issued.refresh_token)
const called = await withNonce(() => call(renewed.access_token))
const introspected = await oauth.introspectionRequest(
  as, client, oauth.None(), renewed.access_token, options,
)

answer({
  metadata: as,
  jkt: await DPoP.calculateThumbprint(),
  issued,
  renewed,
  api: { status: called.status, body: await called.json() },
  introspection: await oauth.processIntrospectionResponse(as, client, introspected),
  wider_scope: await refusal(() => exchange({ scope: job.wider_scope })),
  foreign_audience: await refusal(() => exchange({ audience: job.foreign_audience })),
  forged_subject: await refusal(() => exchange({ subject_token: job.forged_token })),
  unknown_grant: await refusal(() => renew('x'.repeat(43))),
  without_proof: await refusal(async () => {
    const parameters = new URLSearchParams(exchangeParameters(job))
    const response = await oauth.genericTokenEndpointRequest(
      as, client, oauth.None(), TOKEN_EXCHANGE, parameters, options,
    )
    return oauth.processGenericTokenEndpointResponse(as, client, response)
  }),
  http,
})
