// Access tokens and DPoP proofs by npm's JOSE libraries: one question a line, one answer a line, both
// JSON, by the protocol of ../verifiers.py; items are as in ../jose_libraries.py.
//
// CPU time is that of the process, since WebCrypto works in threads of its own.
import { createHash, createPublicKey } from 'node:crypto'
import { createInterface } from 'node:readline'

import { createVerifier } from 'fast-jwt'
import { EmbeddedJWK, calculateJwkThumbprint, importJWK, jwtVerify } from 'jose'

const PROOF_ALGORITHM = 'ES256'
const MAX_PROOF_AGE_S = 3600
const REQUIRED = ['exp', 'iat', 'iss', 'aud']

function remembered(make) {
  const known = new Map()
  return (key) => {
    if (!known.has(key)) known.set(key, make(key))
    return known.get(key)
  }
}

function nodeJose() {
  const read = remembered((key) => {
    const jwk = JSON.parse(key)
    return importJWK(jwk, jwk.alg)
  })
  return async (item) => {
    const options = {
      algorithms: [item.algorithm],
      issuer: item.issuer,
      audience: item.audience,
      requiredClaims: REQUIRED,
    }
    return (await jwtVerify(item.token, await read(item.key), options)).payload
  }
}

function nodeJoseRequest() {
  const decode = nodeJose()
  return async (item) => {
    const claims = await decode(item)
    const { payload, protectedHeader } = await jwtVerify(item.proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [PROOF_ALGORITHM],
      requiredClaims: ['iat', 'jti'],
      maxTokenAge: MAX_PROOF_AGE_S,
    })
    const ath = createHash('sha256').update(item.token).digest('base64url')
    const held =
      payload.htm === item.method &&
      payload.htu === item.url &&
      payload.ath === ath &&
      claims.cnf.jkt === (await calculateJwkThumbprint(protectedHeader.jwk))
    if (!held) throw new Error('the proof does not fit')
    return claims
  }
}

function fastJwt() {
  const verifiers = remembered((configured) => {
    const { key, algorithm, issuer, audience } = JSON.parse(configured)
    const pem = createPublicKey({ key: JSON.parse(key), format: 'jwk' })
    return createVerifier({
      key: pem.export({ type: 'spki', format: 'pem' }),
      algorithms: [algorithm],
      allowedIss: issuer,
      allowedAud: audience,
      requiredClaims: REQUIRED,
      cache: false,
    })
  })
  return (item) => {
    item.verify ??= verifiers(
      JSON.stringify({
        key: item.key,
        algorithm: item.algorithm,
        issuer: item.issuer,
        audience: item.audience,
      }),
    )
    return item.verify(item.token)
  }
}

const VERIFIERS = { node_jose: nodeJose, node_jose_request: nodeJoseRequest, fast_jwt: fastJwt }
const loaded = new Map()

function readItem(texts) {
  const entries = Object.entries(texts)
  return Object.fromEntries(entries.map(([name, hex]) => [name, Buffer.from(hex, 'hex').toString()]))
}

async function accepts(verify, item) {
  try {
    await verify(item)
    return true
  } catch {
    return false
  }
}

async function load(question) {
  const verify = VERIFIERS[question.verifier]()
  const items = question.items.map(readItem)
  try {
    for (const item of items) await verify(item)
  } catch (error) {
    return { fault: `refuses good evidence: ${error.name}: ${error.message}` }
  }
  for (const item of question.bent) {
    if (await accepts(verify, readItem(item))) return { fault: 'accepts bent evidence' }
  }
  loaded.set(question.load, { verify, items })
  return {}
}

async function run(name) {
  const { verify, items } = loaded.get(name)
  const began = process.cpuUsage()
  for (const item of items) await verify(item)
  const { user, system } = process.cpuUsage(began)
  return { per_second: (items.length / (user + system)) * 1e6 }
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line)
  const answer = await (question.run === undefined ? load(question) : run(question.run))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
