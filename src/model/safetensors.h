/* safetensors.h -- the directory of a safetensors file.
 *
 * A file is 8 bytes of little-endian length, that many bytes of JSON, and the tensors' bytes.  The
 * directory was written by a stranger, so the reader holds it to every rule of the format: header
 * of at most 100 MB that begins with '{', no key twice, known element types, and tensors that tile
 * the data from its first byte to the file's last without hole or overlap.  What it returns can be
 * used without further checks against the file's size. */
#ifndef UPG_MODEL_SAFETENSORS_H
#define UPG_MODEL_SAFETENSORS_H

#include "base/arena.h"
#include "base/json.h"

enum upg_dtype {
    UPG_DTYPE_BOOL,
    UPG_DTYPE_U8,
    UPG_DTYPE_I8,
    UPG_DTYPE_F8_E4M3,
    UPG_DTYPE_F8_E5M2,
    UPG_DTYPE_I16,
    UPG_DTYPE_U16,
    UPG_DTYPE_F16,
    UPG_DTYPE_BF16,
    UPG_DTYPE_I32,
    UPG_DTYPE_U32,
    UPG_DTYPE_F32,
    UPG_DTYPE_I64,
    UPG_DTYPE_U64,
    UPG_DTYPE_F64,
    UPG_N_DTYPES
};

enum { UPG_SAFETENSORS_MAX_DIMS = 8, UPG_SAFETENSORS_MAX_NAME = 512 /* bytes */ };
#define UPG_SAFETENSORS_MAX_HEADER ((size_t)100 * 1000 * 1000)

/* The name in a header ("BF16") and the bytes of an element. */
const char *upg_dtype_name(enum upg_dtype dtype);
size_t upg_dtype_bytes(enum upg_dtype dtype);

struct upg_safetensor {
    const char *name;  /* C string in the arena */
    const char *where; /* the file's name, borrowed */
    enum upg_dtype dtype;
    size_t n_dims;
    size_t shape[UPG_SAFETENSORS_MAX_DIMS];
    size_t n_values;     /* product of the shape; 1 for a scalar */
    const uint8_t *data; /* in the file's bytes; aligned as the file happens to be */
    size_t n_bytes;
};

struct upg_safetensors {
    const char *where;                     /* the file's name, borrowed */
    size_t header_bytes;                   /* the length field and the JSON */
    struct upg_safetensor *tensors;        /* [n_tensors] in the order of their bytes */
    const struct upg_safetensor **by_name; /* [n_tensors] sorted */
    size_t n_tensors;
    json_t *metadata; /* __metadata__, an object of strings; owned; NULL if there is none */
};

/* Read the directory of the file bytes[n_bytes], which must outlive it.  Names and arrays go into
 * the arena.  Clear with upg_safetensors_clear(), also after a failure.  UPG_ERR_FORMAT,
 * UPG_ERR_UNSUPPORTED (an element type unknown here), UPG_ERR_MEMORY. */
upg_status upg_safetensors_read(struct upg_safetensors *directory, const char *where,
                                const uint8_t *bytes, size_t n_bytes, struct upg_arena *arena,
                                upg_error *err);
void upg_safetensors_clear(struct upg_safetensors *directory);

/* What upg_model_get_tensor() says of a tensor that is a plain array. */
void upg_safetensor_info(const struct upg_safetensor *tensor, upg_tensor_info *info);

/* NULL if there is no tensor of that name. */
const struct upg_safetensor *upg_safetensors_find(const struct upg_safetensors *directory,
                                                  const char *name);

#endif
