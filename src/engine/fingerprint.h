/* fingerprint.h -- which model, computed how: what a saved cache must agree with. */
#ifndef UPG_ENGINE_FINGERPRINT_H
#define UPG_ENGINE_FINGERPRINT_H

#include "engine/engine.h"

/* A hash of the model's config, of samples of every matrix, of the cache's type and of the kernel
 * tier: keys and values of two engines with the same fingerprint have the same bits. */
uint64_t upg_engine_fingerprint(const upg_engine *engine);

#endif
