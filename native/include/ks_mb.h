/* Intel's multi-buffer library (crypto_mb, of the Python package ipp-crypto), where there is one. */
#ifndef KS_MB_H
#define KS_MB_H

/* 1 if this CPU has what the library is written for (AVX-512 IFMA), so that loading it is worth a try. */
int ks_mb_suits_cpu(void);

/*
 * Loads the library for the life of the process: RS256, PS256 and ES384 then take it, from the next batch
 * on. `path` is the absolute path of the installed libcrypto_mb.so, from somebody whose word for which
 * code to run is good. The first call decides; later ones change nothing. What came of it, or why nothing
 * did, is what ks_verify_path and ks_verify_path_reason say.
 */
void ks_mb_load(const char *path);

#endif
