// The whole life of a delegated token with npm's openid-client: discovery, exchange, an API call,
// renewal, introspection, and the refusals as its callers see them.

import * as client from 'openid-client'

import { answer, exchangeParameters, notingFetch, readJob, refusal, TOKEN_EXCHANGE } from './job.mjs'
import { tpmKeyPair } from './tpm_key.mjs'

const job = await readJob()
const http = []
const config = await client.discovery(
  new URL(job.issuer),
  job.client_id,
  undefined,
  client.None(),
  {
    algorithm: 'oauth2', // RFC 8414
    execute: [client.allowInsecureRequests], // plain HTTP: the server is on loopback
    [client.customFetch]: notingFetch(http),
  },
)
const keys = await tpmKeyPair(job.jwk, job.signer)
const DPoP = client.getDPoPHandle(config, keys)
const exchange = (changes) =>
  client.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeParameters(job, changes), { DPoP })

const issued = await exchange()
const renewed = await client.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP })
const called = await client.fetchProtectedResource(
  config,
  renewed.access_token,
  new URL(job.api),
  'GET',
  null,
  undefined,
  { DPoP },
)

answer({
  metadata: config.serverMetadata(),
  jkt: await DPoP.calculateThumbprint(),
  issued,
  renewed,
  api: { status: called.status, body: await called.json() },
  introspection: await client.tokenIntrospection(config, renewed.access_token),
  wider_scope: await refusal(() => exchange({ scope: job.wider_scope })),
  foreign_audience: await refusal(() => exchange({ audience: job.foreign_audience })),
  forged_subject: await refusal(() => exchange({ subject_token: job.forged_token })),
  unknown_grant: await refusal(() =>
    client.refreshTokenGrant(config, 'x'.repeat(43), undefined, { DPoP }),
  ),
  without_proof: await refusal(() =>
    client.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeParameters(job)),
  ),
  http,
})
