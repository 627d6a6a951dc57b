/*
 * Base64url: every path that runs here accepts what the scalar one accepts and writes the same bytes,
 * whose encoding is the text again. The input is the text, or bytes to encode if its first is even.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/ks_base64url_paths.h"

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

/* Memory of exactly the promised size, for the address sanitizer to watch. */
static uint8_t *room_for(size_t size) {
    uint8_t *room = malloc(size + 1);
    require(room != NULL);
    return room;
}

static void text_decode(ks_view text) {
    const ks_base64url_path *paths[KS_BASE64URL_MOST_PATHS];
    size_t count = ks_base64url_paths(paths), bytes = ks_base64url_bytes(text.size);
    uint8_t *expected = room_for(bytes + KS_BASE64URL_SLACK - 1);
    ks_status status = ks_base64url_decode_by(&ks_base64url_scalar, text, expected);
    for (size_t i = 0; i < count; i++) {
        uint8_t *found = room_for(bytes + KS_BASE64URL_SLACK - 1);
        require(ks_base64url_decode_by(paths[i], text, found) == status);
        require(status != KS_OK || memcmp(found, expected, bytes) == 0);
        free(found);
    }
    if (status == KS_OK) {
        uint8_t *again = room_for(text.size);
        ks_base64url_encode(expected, bytes, again);
        require(text.size == 0 || memcmp(again, text.data, text.size) == 0);
        free(again);
    }
    free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    ks_view input = {data + 1, size - 1};
    if (data[0] % 2 != 0) {
        text_decode(input);
        return 0;
    }
    size_t characters = (4 * input.size + 2) / 3;
    uint8_t *text = room_for(characters);
    ks_base64url_encode(input.data, input.size, text);
    if (data[0] % 4 != 0 && characters > 0) {
        text[data[0] % characters] ^= (uint8_t)(data[0] >> 2); /* good but for one character */
    }
    text_decode((ks_view){text, characters});
    free(text);
    return 0;
}
