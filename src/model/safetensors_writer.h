/* safetensors_writer.h -- writing a safetensors file as a stream.
 *
 * The list of tensors comes first, since the header stands at the beginning; then their bytes, in
 * order; the metadata may still change until the end, within the room that was reserved.  The file
 * appears under its name when it is committed. */
#ifndef UPG_MODEL_SAFETENSORS_WRITER_H
#define UPG_MODEL_SAFETENSORS_WRITER_H

#include "base/atomic_file.h"
#include "base/buffer.h"
#include "model/safetensors.h"

struct upg_safetensors_writer;

/* Begin a file.
 *
 *   tensors[n]  name, dtype, n_dims and shape of each; copied
 *   metadata    __metadata__, an object of strings; NULL: none
 *   reserve     bytes by which the metadata may grow until the end
 *   align       64: every tensor starts at a multiple of 64 bytes of the file, by tensors "pad.N"
 * of zeros where sizes need them; 1: no padding between tensors
 *
 * path NULL: there is no file, only its size.  On success the caller ends with _commit() or
 * _discard(); without a file, with the latter. */
upg_status upg_safetensors_writer_open(struct upg_safetensors_writer **writer, const char *path,
                                       const struct upg_safetensor *tensors, size_t n,
                                       const json_t *metadata, size_t reserve, size_t align,
                                       upg_error *err);

/* The next bytes of the tensors; a call may not cross the end of a tensor. */
upg_status upg_safetensors_writer_write(struct upg_safetensors_writer *writer, const void *bytes,
                                        size_t n, upg_error *err);

/* The tensor that the next byte belongs to, and how many bytes it still needs; NULL when all are
 * written. */
const char *upg_safetensors_writer_next(const struct upg_safetensors_writer *writer,
                                        size_t *n_bytes);

/* Bytes of the whole file, known from the beginning. */
uint64_t upg_safetensors_writer_n_bytes(const struct upg_safetensors_writer *writer);

/* XXH3-64 of each tensor in file order, padding included, as 16 digits with spaces between: the
 * checksums of docs/format.md.  All must be written. */
upg_status upg_safetensors_writer_checksums(const struct upg_safetensors_writer *writer,
                                            struct upg_buffer *out, upg_error *err);

/* Write the header again with the final metadata, after `seal` (may be NULL) has been over its
 * n bytes, and give the file its name.  The writer is gone afterwards, also after a failure. */
upg_status upg_safetensors_writer_commit(struct upg_safetensors_writer *writer,
                                         const json_t *metadata,
                                         upg_status (*seal)(char *header, size_t n, upg_error *err),
                                         upg_error *err);

/* Remove what was written.  NULL is allowed. */
void upg_safetensors_writer_discard(struct upg_safetensors_writer *writer);

#endif
