/*
 * Reading claims one after the other. The first thing that is wrong is kept, with the step under which it
 * was read, and what follows changes nothing any more; so the checks read as a list.
 */
#ifndef KS_CLAIM_READER_H
#define KS_CLAIM_READER_H

#include "ks_members.h"
#include "ks_token.h"

typedef struct ks_claim_reader {
    const ks_json *document;
    const ks_token_rules *rules;
    unsigned step;
    ks_refusal refusal;
} ks_claim_reader;

/* Keeps `reason` if nothing was wrong so far. */
void ks_claim_refuse(ks_claim_reader *reader, ks_reason reason);
int ks_claim_refused(const ks_claim_reader *reader);

/*
 * `at` is the index of a claim's value, 0 where there is none. What must be there and is not is
 * `claim_missing`; a value that is not what it should be is `claim_invalid`.
 */
void ks_claim_demand(ks_claim_reader *reader, uint32_t at);
/* A string without control characters, of 1 to `max_chars`; no data where there is none. */
ks_view ks_claim_string(ks_claim_reader *reader, uint32_t at, size_t max_chars);
ks_view ks_claim_demand_string(ks_claim_reader *reader, uint32_t at, size_t max_chars);
/* Base64url of a SHA-256. */
ks_view ks_claim_demand_sha256(ks_claim_reader *reader, uint32_t at);
/* Seconds; -1 where there is none. */
int64_t ks_claim_date(ks_claim_reader *reader, uint32_t at);
int64_t ks_claim_demand_date(ks_claim_reader *reader, uint32_t at);
/* -1 where there is none; `least` is not negative. */
int64_t ks_claim_integer(ks_claim_reader *reader, uint32_t at, int64_t least, int64_t most);
int ks_claim_demand_bool(ks_claim_reader *reader, uint32_t at);
/* The index of one of the names, 0 where it is none of them. */
size_t ks_claim_demand_choice(ks_claim_reader *reader, uint32_t at, const ks_name *names,
                              size_t count);
/* An array of such strings, at most `max_items`. */
void ks_claim_strings(ks_claim_reader *reader, uint32_t at, size_t max_items);
/* The same index where an object stands there, else 0. */
uint32_t ks_claim_object(ks_claim_reader *reader, uint32_t at);

#endif
