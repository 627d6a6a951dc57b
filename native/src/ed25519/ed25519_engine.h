/* The parts of an engine that works with a kernel of this directory. */
#ifndef ED25519_ENGINE_H
#define ED25519_ENGINE_H

#include "ed25519_kernel.h"
#include "ks_engine.h"

/* As ks_engine has them, but for the kernel, which the worker is for. Keys are ed25519_key.h's. */
void *ks_ed25519_worker_open(const ed25519_kernel *kernel);
void ks_ed25519_worker_close(void *worker); /* accepts NULL */
KS_MUST_CHECK ks_status ks_ed25519_verify(void *worker, void *const *keys,
                                          const ks_verify_item *items, size_t count,
                                          uint8_t *verdicts);

#endif
