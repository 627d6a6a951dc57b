#include "codec/ks_json_parser.h"

/* Behind the quote that ends the string that starts behind `at`, or the end. */
static size_t string_skip(ks_view text, size_t at) {
    for (at++; at < text.size && text.data[at] != '"'; at++) {
        at += text.data[at] == '\\' && at + 1 < text.size &&
              (text.data[at + 1] == '"' || text.data[at + 1] == '\\');
    }
    return at + 1;
}

int ks_json_is_deeper(ks_view text, unsigned max_depth) {
    long depth = 0; /* below 0 where more was closed than opened */
    for (size_t at = 0; at < text.size; at++) {
        uint8_t character = text.data[at];
        if (character == '{' || character == '[') {
            if (++depth > (long)max_depth) {
                return 1;
            }
        } else if (character == '}' || character == ']') {
            depth--;
        } else if (character == '"') {
            at = string_skip(text, at) - 1;
        } else if (character == '\\' && at + 1 < text.size) {
            at += text.data[at + 1] == '"' || text.data[at + 1] == '\\';
        }
    }
    return 0;
}
