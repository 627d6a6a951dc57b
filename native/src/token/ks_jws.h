/*
 * JSON Web Signatures in compact form (RFC 7515 §7.1), by the rules of src/keystead/jose/jws.py: parsed
 * whole before anything is believed.
 */
#ifndef KS_JWS_H
#define KS_JWS_H

#include "codec/ks_base64url.h"
#include "codec/ks_json.h"
#include "ks_members.h"
#include "ks_refusal.h"

/* The bounds of jose/jws.py. */
#define KS_MAX_HEADER_BYTES 4096u
#define KS_MAX_HEADER_DEPTH 3u
#define KS_MAX_SIGNATURE_BYTES 1024u
#define KS_MAX_HEADER_NAME_CHARS 128u
#define KS_MAX_KID_CHARS 256u
/* Of relying/checks.py and jose/dpop.py: a token or a proof. */
#define KS_MAX_TOKEN_BYTES 8192u

/*
 * What one may decode to: three segments, and the slack behind each. A text that is too long is not
 * decoded at all.
 */
#define KS_JWS_SLACK (3u * KS_BASE64URL_SLACK)
#define KS_JWS_BYTES(size) ((size) / 4u * 3u + 3u + KS_JWS_SLACK)

/* A text that strangers sent. `data` is NULL where it is not ASCII; `size` is then its characters. */
typedef ks_view ks_sent;

/* A decoded JWS whose signature nobody has checked yet. Views are into the text, or into `memory`. */
typedef struct ks_jws {
    ks_view header; /* JSON, as it was signed */
    ks_view algorithm, kid, typ; /* `data` is NULL where there is none; gone when `json` is used again */
    ks_view payload;
    ks_view signing_input;
    ks_view signature;
    uint32_t jwk; /* the index of the header's `jwk` in `json`, 0 where there is none */
} ks_jws;

/*
 * Decodes `text` into `memory`, which has room for KS_JWS_BYTES(text.size) bytes, and leaves its header
 * parsed in `json`. KS_R_NONE, or the reason; KS_R_CRITICAL_HEADER_UNKNOWN is the only one that the
 * readable parser has as a rejection, all others are `Malformed`.
 */
KS_MUST_CHECK ks_reason ks_jws_parse(ks_sent text, uint8_t *memory, ks_json *json, ks_jws *jws);

/* Whether `typ` is `wanted` (lower case) once it is in lower case and without "application/". */
int ks_jws_has_type(const ks_jws *jws, ks_name wanted);

/* The reason of a codec's status. */
ks_reason ks_reason_of(ks_status status);

#endif
