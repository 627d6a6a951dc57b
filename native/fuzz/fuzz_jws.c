/*
 * The splitter of a JWS and its header: one text as it came, or header, payload and signature that are
 * encoded first. What is accepted is the text again when it is encoded.
 */
#include "fuzz_input.h"
#include "token/ks_jws.h"

START_FROM("\x01{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"k\"}\xff{\"iss\":\"i\"}\xff"
           "signature")

/* The text that the input is, or spells. */
static ks_view text_of(ks_view input) {
    if ((byte_take(&input) & 1u) == 0) {
        return copy_of(input);
    }
    uint8_t *text = room_of(2 * input.size + 16);
    size_t size = append_base64url(text, 0, part_take(&input, PART_END));
    size = append(text, size, ".", 1);
    size = append_base64url(text, size, part_take(&input, PART_END));
    size = append(text, size, ".", 1);
    size = append_base64url(text, size, input);
    ks_view exact = copy_of((ks_view){text, size});
    free(text);
    return exact;
}

static void check_same_text(ks_view text, const ks_jws *jws) {
    uint8_t *again = room_of(2 * text.size + 16);
    size_t size = append_base64url(again, 0, jws->header);
    size = append(again, size, ".", 1);
    size = append_base64url(again, size, jws->payload);
    require(ks_views_equal(jws->signing_input, (ks_view){again, size}));
    size = append(again, size, ".", 1);
    size = append_base64url(again, size, jws->signature);
    require(ks_views_equal(text, (ks_view){again, size}));
    free(again);
}

static void check_accepted(ks_view text, ks_view memory, const ks_json *json, const ks_jws *jws) {
    const ks_view strings = {json->text, sizeof json->text};
    const ks_view names[] = {jws->algorithm, jws->kid, jws->typ};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        require(is_within(names[i], memory) || is_within(names[i], strings));
        require(names[i].data == NULL || names[i].size > 0);
    }
    require(jws->algorithm.data != NULL);
    require(jws->jwk < json->count);
    require(is_within(jws->payload, memory) && is_within(jws->signature, memory));
    check_same_text(text, jws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const ks_name token = KS_NAME("at+jwt"), proof = KS_NAME("dpop+jwt");
    ks_view text = text_of((ks_view){data, size});
    size_t room = text.size <= KS_MAX_TOKEN_BYTES ? KS_JWS_BYTES(text.size) : 0;
    ks_view memory = {room_of(room), room};
    ks_json *json = malloc(sizeof *json);
    ks_jws jws;
    require(json != NULL);
    ks_reason reason = ks_jws_parse(text, (uint8_t *)(uintptr_t)memory.data, json, &jws);
    require(text.size <= KS_MAX_TOKEN_BYTES || reason == KS_R_TOO_LARGE);
    if (reason == KS_R_NONE) {
        check_accepted(text, memory, json, &jws);
        require(!(ks_jws_has_type(&jws, token) && ks_jws_has_type(&jws, proof)));
    }
    free(json);
    copy_free(memory);
    copy_free(text);
    return 0;
}
