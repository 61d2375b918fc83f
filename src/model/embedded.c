/* embedded.c -- the default model inside the library, so that the program talks without a download.
 */
#include "model/model.h"

#ifdef UPG_EMBEDDED_PATH

#include "base/embed.h"

UPG_EMBED(upg_default_model, UPG_EMBEDDED_PATH);

const uint8_t *upg_embedded_model(size_t *n_bytes)
{
    *n_bytes = (size_t)(upg_default_model_end - upg_default_model);
    return upg_default_model;
}

#else

const uint8_t *upg_embedded_model(size_t *n_bytes)
{
    *n_bytes = 0;
    return NULL;
}

#endif
