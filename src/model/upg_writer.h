/* upg_writer.h -- writing .upg files, for the compressor and for conversion.
 *
 *     upg_writer_open(&writer, "out.upg", &outline, 4096, err);
 *     for (every slot, every part)
 *         upg_writer_matrix(writer, &matrix, err);
 *     upg_writer_commit(writer, provenance, quality, err);      or upg_writer_discard(writer)
 */
#ifndef UPG_MODEL_UPG_WRITER_H
#define UPG_MODEL_UPG_WRITER_H

#include "model/model.h"

#include <jansson.h>

struct upg_writer;

/* Begin a file that appears under `path` when it is committed.
 *
 *   path      NULL: there is no file, only its size and outlines; end with _discard()
 *   outline   a model with config, stop_ids, tokenizer (may be NULL) and all norms as they shall be
 *             in the file; of its matrices only n_parts, type, n_rows, n_cols and, for PACKED,
 *             packed.k, the seeds and has_output_transform are looked at.  Borrowed until the end.
 *   reserve   bytes to keep free for provenance and quality, which are given at the end
 *
 * Norms are written here: as BF16 where all their values fit, else as F32.  UPG_ERR_UNSUPPORTED for
 * a type that .upg files do not hold (GGUF's).  On success the caller ends with _commit() or
 * _discard(). */
upg_status upg_writer_open(struct upg_writer **writer, const char *path,
                           const struct upg_model *outline, size_t reserve, upg_error *err);

/* Number of matrices, and the outline of number i: the order in which they are written. */
size_t upg_writer_n_matrices(const struct upg_writer *writer);
const struct upg_matrix *upg_writer_outline(const struct upg_writer *writer, size_t i);

/* Write the next matrix: data (or packed codes, row scales and gains) as the outline announced it.
 */
upg_status upg_writer_matrix(struct upg_writer *writer, const struct upg_matrix *matrix,
                             upg_error *err);

/* Bytes of the whole file, known from the beginning. */
uint64_t upg_writer_n_bytes(const struct upg_writer *writer);

/* Write tokenizer, checksums, provenance and quality (JSON objects; NULL: none), and give the file
 * its name.  Provenance gets the program's "version" besides.  The writer is gone afterwards, also after a failure. */
upg_status upg_writer_commit(struct upg_writer *writer, const json_t *provenance,
                             const json_t *quality, upg_error *err);

/* Remove what was written.  NULL is allowed. */
void upg_writer_discard(struct upg_writer *writer);

/* Write an opened model with the types that it has.  UPG_ERR_CANCELLED by options->progress. */
upg_status upg_model_write(const struct upg_model *model, const char *path,
                           const json_t *provenance, const json_t *quality,
                           const upg_model_options *options, upg_error *err);

/* [{"file", "bytes", "xxh3"}] of the files that a model is mapped from, for its provenance.  Reads
 * all of them.  The caller owns *sources. */
upg_status upg_model_sources(const struct upg_model *model, json_t **sources,
                             const upg_model_options *options, upg_error *err);

#endif
