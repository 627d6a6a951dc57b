// A WebCrypto key pair whose private half is in a TPM.
//
// OAuth libraries sign DPoP proofs with crypto.subtle.sign and want a CryptoKey for it. WebCrypto
// has no way to say that a key is somewhere else, and a key that never leaves its TPM cannot be
// imported. So the library gets a stand-in: a CryptoKey of the right type that was made here and
// signs nothing, and crypto.subtle.sign, in this process, passes every request that names the
// stand-in to whoever holds the TPM. The library itself is the published one, unchanged; that the
// server takes its proofs shows that the TPM made them, for the server knows the TPM's key alone.

import { connect } from 'node:net'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE_BYTES = 64

// jwk: the public key. signer: the path of a Unix socket where a message, ended by half a close,
// is answered with its ES256 signature, r and s.
export async function tpmKeyPair(jwk, signer) {
  const publicKey = await crypto.subtle.importKey('jwk', jwk, ALGORITHM, true, ['verify'])
  const { privateKey } = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify'])
  const sign = crypto.subtle.sign.bind(crypto.subtle)
  crypto.subtle.sign = (algorithm, key, data) =>
    key === privateKey ? signElsewhere(signer, data) : sign(algorithm, key, data)
  return { publicKey, privateKey }
}

function signElsewhere(path, data) {
  return new Promise((resolve, reject) => {
    const parts = []
    const socket = connect({ path, allowHalfOpen: true }, () => socket.end(data))
    socket.on('data', (part) => parts.push(part))
    socket.on('error', reject)
    socket.on('end', () => {
      const signature = Buffer.concat(parts)
      if (signature.length !== SIGNATURE_BYTES) {
        reject(new Error(`a signature of ${signature.length} bytes`))
        return
      }
      resolve(new Uint8Array(signature).buffer)
    })
  })
}
