/* pack_format.h -- what pack.c and unpack.c agree on; docs/format-tokenizer.md describes the bytes.
 */
#ifndef UPG_TEXT_PACK_FORMAT_H
#define UPG_TEXT_PACK_FORMAT_H

#include <stdint.h>

#define UPG_PACK_MAGIC "UPGTOK01" /* 8 bytes; the last two are the version */

#define UPG_PACK_NO_NUMBER UINT32_MAX

enum { UPG_PACK_MAGIC_BYTES = 8, UPG_PACK_N_FIELDS = 6, UPG_PACK_IGNORE_MERGES = 1 };

#endif
