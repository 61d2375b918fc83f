/* calibration_text.c -- models/calibration.txt inside the library. */
#include "compress/calibration.h"

#include "base/embed.h"

UPG_EMBED(upg_embedded_calibration, UPG_CALIBRATION_PATH);

const char *upg_calibration_text(size_t *n_bytes)
{
    *n_bytes = (size_t)(upg_embedded_calibration_end - upg_embedded_calibration);
    return (const char *)upg_embedded_calibration;
}
