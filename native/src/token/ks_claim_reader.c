#include "ks_claim_reader.h"

#include <string.h>

void ks_claim_refuse(ks_claim_reader *reader, ks_reason reason) {
    if (!ks_is_refused(reader->refusal)) {
        reader->refusal = ks_token_rejected(reason, reader->step);
    }
}

int ks_claim_refused(const ks_claim_reader *reader) {
    return ks_is_refused(reader->refusal);
}

void ks_claim_demand(ks_claim_reader *reader, uint32_t at) {
    if (at == 0) {
        ks_claim_refuse(reader, KS_R_CLAIM_MISSING);
    }
}

/* A reader's fault, whichever it is, is one of the claim. Answers whether there was none. */
static int sound(ks_claim_reader *reader, ks_reason found) {
    if (found != KS_R_NONE) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    return found == KS_R_NONE;
}

ks_view ks_claim_string(ks_claim_reader *reader, uint32_t at, size_t max_chars) {
    ks_view text = {NULL, 0};
    if (at != 0) {
        (void)sound(reader, ks_member_string(reader->document, at, max_chars, &text));
    }
    return text;
}

ks_view ks_claim_demand_string(ks_claim_reader *reader, uint32_t at, size_t max_chars) {
    ks_claim_demand(reader, at);
    return ks_claim_string(reader, at, max_chars);
}

/* 43 characters, of which the last has two bits that must be zero. */
static int is_sha256(ks_view text) {
    static const char last[] = "AEIMQUYcgkosw048";
    if (text.size != KS_SHA256_CHARS) {
        return 0;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_')) {
            return 0;
        }
    }
    return memchr(last, text.data[text.size - 1], sizeof last - 1) != NULL;
}

ks_view ks_claim_demand_sha256(ks_claim_reader *reader, uint32_t at) {
    ks_view text = ks_claim_demand_string(reader, at, KS_MAX_STRING_CHARS);
    if (text.data != NULL && !is_sha256(text)) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    return text;
}

int64_t ks_claim_date(ks_claim_reader *reader, uint32_t at) {
    int64_t date = -1;
    if (at != 0 && !sound(reader, ks_member_date(reader->document, at, &date))) {
        return -1;
    }
    return date;
}

int64_t ks_claim_demand_date(ks_claim_reader *reader, uint32_t at) {
    ks_claim_demand(reader, at);
    return ks_claim_date(reader, at);
}

int64_t ks_claim_integer(ks_claim_reader *reader, uint32_t at, int64_t least, int64_t most) {
    int64_t value = -1;
    if (at != 0 && !sound(reader, ks_member_integer(reader->document, at, least, most, &value))) {
        return -1;
    }
    return value;
}

int ks_claim_demand_bool(ks_claim_reader *reader, uint32_t at) {
    int value = 0;
    ks_claim_demand(reader, at);
    if (at != 0) {
        (void)sound(reader, ks_member_bool(reader->document, at, &value));
    }
    return value;
}

size_t ks_claim_demand_choice(ks_claim_reader *reader, uint32_t at, const ks_name *names,
                              size_t count) {
    ks_view text = ks_claim_demand_string(reader, at, KS_MAX_STRING_CHARS);
    size_t choice = text.data == NULL ? count : ks_text_choose(text, names, count);
    if (choice == count) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
        return 0;
    }
    return choice;
}

void ks_claim_strings(ks_claim_reader *reader, uint32_t at, size_t max_items) {
    if (at != 0) {
        (void)sound(reader,
                    ks_member_strings(reader->document, at, max_items, KS_MAX_STRING_CHARS));
    }
}

uint32_t ks_claim_object(ks_claim_reader *reader, uint32_t at) {
    return at != 0 && sound(reader, ks_member_object(reader->document, at)) ? at : 0;
}
