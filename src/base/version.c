/* version.c -- what version this library is. */
#include "upg/upg.h"

const char *upg_version(void)
{
    return UPG_VERSION; /* from the file VERSION */
}
