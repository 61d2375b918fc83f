/* upg_format.h -- names that the reader and the writer of .upg files share.  docs/format.md is the
 * specification. */
#ifndef UPG_MODEL_UPG_FORMAT_H
#define UPG_MODEL_UPG_FORMAT_H

#include "model/slots.h"

#include <jansson.h>

#define UPG_FORMAT_VERSION "1"
#define UPG_TENSOR_ALIGN 64 /* bytes, of every tensor's offset in the file */

/* Keys of __metadata__. */
#define UPG_KEY_VERSION "upg"
#define UPG_KEY_CONFIG "config"
#define UPG_KEY_MATRICES "matrices"
#define UPG_KEY_CHECKSUMS "checksums"
#define UPG_KEY_HEADER_CHECKSUM "header_xxh3"
#define UPG_KEY_PROVENANCE "provenance"
#define UPG_KEY_QUALITY "quality"

#define UPG_TOKENIZER_TENSOR "tokenizer"
#define UPG_PAD_PREFIX "pad."

enum { UPG_MAX_TENSOR_NAME = 96, UPG_CHECKSUM_DIGITS = 16 };

/* The name of a type in a file ("bf16", "i8", "upg3"); NULL for a type that .upg files do not hold.
 */
const char *upg_stored_type_name(enum upg_type type, int k);

/* The other way; false if the name is not known. */
bool upg_stored_type_parse(const char *name, enum upg_type *type, int *k);

/* UPG_ERR_FORMAT if the metadata (may be NULL) are not those of a .upg file, UPG_ERR_UNSUPPORTED if
 * they are of a version that is not read here. */
upg_status upg_check_version(const json_t *metadata, const char *where, upg_error *err);

/* Name of a matrix: the slot's, with ".part" behind it if `part` is not NULL. */
void upg_matrix_name(char name[UPG_MAX_TENSOR_NAME], const char *slot, const char *part);

/* Find the 16 hexadecimal digits of the header's own checksum; NULL if there are none. */
const char *upg_find_header_checksum(const char *header, size_t n_bytes);

/* XXH3-64 of the whole header (length field, JSON, padding) with those digits, which `digits`
 * points to, taken as zeros.  UPG_ERR_MEMORY. */
upg_status upg_header_checksum(const char *header, size_t n_bytes, const char *digits,
                               uint64_t *checksum, upg_error *err);

#endif
