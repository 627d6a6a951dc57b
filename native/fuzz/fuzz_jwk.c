/* The key in a proof's header. What is accepted has a thumbprint and the sizes of its type. */
#include "fuzz_input.h"
#include "ks_engine.h"
#include "token/ks_jwk.h"
#include "token/ks_jws.h"

/* RFC 7515 appendix A.3's key. */
START_FROM("{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
           "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"kid\":\"k\",\"alg\":\"ES256\","
           "\"use\":\"sig\",\"key_ops\":[\"verify\"]}}")

static void check_thumbprint(const ks_jwk *jwk) {
    uint8_t hash[33 + KS_BASE64URL_SLACK];
    require(ks_base64url_decode((ks_view){jwk->thumbprint, KS_SHA256_CHARS}, hash) == KS_OK);
}

/* The same from the coordinates alone, as they come from whoever read the JSON himself. */
static void check_point(ks_algorithm algorithm, const ks_jwk *jwk) {
    uint8_t x[KS_MAX_POINT_BYTES], y[KS_MAX_POINT_BYTES], octets[KS_MAX_POINT_BYTES];
    size_t size = jwk->key.first.size, chars = (size * 4 + 2) / 3;
    ks_public_key key;
    ks_base64url_encode(jwk->key.first.data, size, x);
    ks_base64url_encode(jwk->key.second.data, jwk->key.second.size, y);
    require(ks_point_read(algorithm, (ks_view){x, chars}, (ks_view){y, jwk->on_curve ? chars : 0},
                          octets, &key));
    require(ks_views_equal(key.first, jwk->key.first) && ks_views_equal(key.second, jwk->key.second));
}

static void check_accepted(ks_view memory, const ks_jwk *jwk) {
    require(is_within(jwk->key.first, memory) && is_within(jwk->key.second, memory));
    require(jwk->verifies < 1u << KS_ALGORITHM_NAMES);
    check_thumbprint(jwk);
    if (jwk->on_curve) {
        require(jwk->key.first.size == jwk->key.second.size && jwk->key.first.size >= 32);
        check_point(jwk->curve, jwk);
        (void)ks_jwk_is_point(jwk);
        return;
    }
    require(ks_jwk_is_point(jwk));
    if (jwk->key.first.size == 32) {
        check_point(KS_ED25519, jwk);
    }
    require(jwk->key.first.size == 32 || jwk->key.first.size >= KS_MIN_RSA_BITS / 8);
    require(jwk->key.second.size <= 4);
}

static void read_key(const ks_json *header, size_t at, size_t size, ks_digest *sha256) {
    ks_jwk jwk;
    ks_view memory = {room_of(KS_JWK_BYTES(size)), KS_JWK_BYTES(size)};
    ks_refusal refusal =
        ks_jwk_read(header, at, sha256, (uint8_t *)(uintptr_t)memory.data, &jwk);
    if (!ks_is_refused(refusal)) {
        check_accepted(memory, &jwk);
    } else {
        require(refusal.as == KS_AS_MALFORMED ? refusal.step == KS_STEP_PROOF
                                              : refusal.as == KS_AS_PROOF_REJECTED &&
                                                    (refusal.step == 6 || refusal.step == 7));
    }
    copy_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ks_digest sha256;
    if (sha256.kind == NULL) {
        require(ks_digest_open(&sha256, "SHA256"));
    }
    ks_view text = copy_of((ks_view){data, size});
    ks_json *header = malloc(sizeof *header);
    require(header != NULL);
    if (size <= KS_MAX_HEADER_BYTES &&
        ks_json_parse_object(text, KS_MAX_HEADER_DEPTH, header) == KS_OK) {
        size_t at = ks_json_member(header, 0, "jwk");
        if (at != 0 && header->values[at].kind == KS_JSON_OBJECT) {
            read_key(header, at, size, &sha256);
        }
    }
    free(header);
    copy_free(text);
    return 0;
}
