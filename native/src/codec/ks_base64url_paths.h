/*
 * The ways of decoding base64url. All accept the same texts and write the same bytes; which one runs is
 * chosen once a process (ks_base64url.c).
 */
#ifndef KS_BASE64URL_PATHS_H
#define KS_BASE64URL_PATHS_H

#include "codec/ks_base64url.h"

typedef struct ks_base64url_path {
    const char *name;

    /*
     * Decodes whole blocks from the front of `text` and says how many characters that were, a multiple
     * of four; the rest is the scalar decoder's. Stops at a block with a character outside the
     * alphabet, which the scalar decoder then finds. Writes at most KS_BASE64URL_SLACK bytes beyond
     * what the characters spell. NULL where the scalar decoder does all.
     */
    size_t (*decode_blocks)(ks_view text, uint8_t *out);
} ks_base64url_path;

extern const ks_base64url_path ks_base64url_scalar; /* for every CPU */
#if defined(__x86_64__)
extern const ks_base64url_path ks_base64url_avx2;
extern const ks_base64url_path ks_base64url_vbmi; /* AVX-512 F, BW and VBMI */
#endif

/* The paths that this CPU runs, the fastest first. */
#define KS_BASE64URL_MOST_PATHS 3u
size_t ks_base64url_paths(const ks_base64url_path *paths[KS_BASE64URL_MOST_PATHS]);

/* The first of them: the path of this process. */
const ks_base64url_path *ks_base64url_chosen(void);

KS_MUST_CHECK ks_status ks_base64url_decode_by(const ks_base64url_path *path, ks_view text,
                                               uint8_t *out);

#endif
