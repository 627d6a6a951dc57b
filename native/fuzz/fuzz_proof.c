/*
 * One proof, of which anything may be wrong, held against a request: all steps but signature and nonce.
 *
 *     method ff url ff proof                 the text as it came
 *     method ff url ff header ff payload     encoded and signed; 01 stands for the key or the `ath`
 */
#include "fuzz_signer.h"
#include "token/ks_proof.h"

#define NOW 1000

START_FROM("\x01GET\xffhttps://a/b\xff{\"typ\":\"dpop+jwt\",\"alg\":\"Ed25519\",\"jwk\":\x01}\xff"
           "{\"jti\":\"j\",\"htm\":\"GET\",\"htu\":\"https://A:443/c/../b\",\"iat\":1000,\"ath\":\"\x01\"}")

static const ks_view token = {(const uint8_t *)"token", 5};

static ks_view proof_of(ks_view rest, int is_composed, const fuzz_signer *signer) {
    uint8_t header[KS_MAX_TOKEN_BYTES], payload[KS_MAX_TOKEN_BYTES], ath[JKT_CHARS];
    if (!is_composed) {
        return copy_of(rest);
    }
    hash_write(token.data, token.size, ath);
    const ks_view jwk = {(const uint8_t *)signer->jwk, strlen(signer->jwk)};
    ks_view first = part_take(&rest, PART_END);
    size_t header_size = fill_in(first, 1, jwk, header, sizeof header);
    size_t payload_size = fill_in(rest, 1, (ks_view){ath, sizeof ath}, payload, sizeof payload);
    return jws_sign(signer, (ks_view){header, header_size}, (ks_view){payload, payload_size});
}

static void check_opened(const ks_proof *proof, const ks_request *request, const fuzz_signer *signer,
                         ks_view memory) {
    uint8_t url[2][KS_MAX_URL_CHARS + 1];
    require(is_within(proof->jti, memory) && proof->jti.size > 0);
    require(is_within(proof->signing_input, request->proof));
    require(proof->algorithm < KS_ALGORITHM_NAMES);
    ks_refusal forged = ks_proof_unsigned(proof);
    require(forged.as == KS_AS_PROOF_REJECTED && forged.step == 6);
    if (ks_is_refused(proof->after_signature)) {
        require(proof->after_signature.as == KS_AS_MALFORMED || proof->after_signature.step >= 8);
        return;
    }
    size_t size;
    require(ks_htu_normalise(request->url, url[0], &size) == KS_OK);
    require(memcmp(proof->jwk.thumbprint, signer->jkt, sizeof signer->jkt) == 0);
    require(proof->issued_at >= NOW - 65 && proof->issued_at <= NOW + 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ks_proof_scratch *scratch;
    const fuzz_signer *signer = signer_of_run();
    const ks_token_rules rules = {.now = NOW, .leeway_s = 5, .proof_max_age_s = 60};
    if (scratch == NULL) {
        scratch = calloc(1, sizeof *scratch);
        require(scratch != NULL && ks_digest_open(&scratch->sha256, "SHA256"));
    }
    ks_view rest = {data, size};
    uint8_t how = byte_take(&rest);
    ks_view method = copy_of(part_take(&rest, PART_END)), url = copy_of(part_take(&rest, PART_END));
    ks_view text = proof_of(rest, how & 1u, signer);
    ks_request request = {
        .proofs = (ks_proof_count)(1 + ((how >> 1) % 16 == 1) - ((how >> 1) % 16 == 2)),
        .proof = (how >> 1) % 16 == 3 ? (ks_view){NULL, text.size} : text,
        .method = method,
        .url = url,
    };
    const ks_proof_wanted wanted = {&request, token, signer->jkt, &rules};
    size_t room = text.size <= KS_MAX_TOKEN_BYTES ? KS_PROOF_BYTES(text.size) : 0;
    ks_view memory = {room_of(room), room};
    ks_proof proof;
    ks_refusal refusal = ks_proof_open(&wanted, scratch, (uint8_t *)(uintptr_t)memory.data, &proof);
    if (!ks_is_refused(refusal)) {
        check_opened(&proof, &request, signer, memory);
    } else {
        require(refusal.as == KS_AS_MALFORMED || refusal.as == KS_AS_PROOF_REJECTED);
        require(refusal.as == KS_AS_PROOF_REJECTED ? refusal.step <= 7 : refusal.step == KS_STEP_PROOF);
    }
    copy_free(memory);
    copy_free(text);
    copy_free(url);
    copy_free(method);
    return 0;
}
