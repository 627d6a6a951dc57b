#include "codec/ks_base64url_paths.h"

#if defined(__x86_64__)
#include "codec/ks_base64url_vbmi.h"

#include "codec/ks_base64url_blocks.h"

const ks_base64url_path ks_base64url_vbmi = {"vbmi", blocks_decode};

#endif
