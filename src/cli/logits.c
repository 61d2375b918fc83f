/* logits.c -- upg logits: the logits of every token of a text, as a NumPy file.
 *
 * NPY format version 1.0 (numpy.lib.format): a magic string, the length of the header as two
 * little-endian bytes, the header as a Python dictionary padded with spaces to a multiple of 64
 * bytes in all, then the array. */
#include "cli/commands.h"

#include "cli/input.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <string.h>

enum { NPY_HEADER_BYTES = 128, NPY_PREFIX_BYTES = 10 };

static const uint16_t byte_order_probe = 1;

/* Of a float32 array [n_rows, n_cols] in this machine's byte order. */
static void npy_header(char header[NPY_HEADER_BYTES], size_t n_rows, size_t n_cols)
{
    const bool little = *(const unsigned char *)&byte_order_probe == 1;
    int n;

    memset(header, ' ', NPY_HEADER_BYTES);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(NPY_HEADER_BYTES - NPY_PREFIX_BYTES);
    header[9] = 0;
    n = snprintf(header + NPY_PREFIX_BYTES, NPY_HEADER_BYTES - NPY_PREFIX_BYTES,
                 "{'descr': '%cf4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                 little ? '<' : '>', n_rows, n_cols);
    header[NPY_PREFIX_BYTES + n] = ' ';
    header[NPY_HEADER_BYTES - 1] = '\n';
}

static upg_status write_npy(const char *path, const float *values, size_t n_rows, size_t n_cols,
                            upg_error *err)
{
    char header[NPY_HEADER_BYTES];
    struct output_file file;
    upg_status status = output_file_open(&file, path, err);

    if (status != UPG_OK)
        return status;
    npy_header(header, n_rows, n_cols);
    status = output_file_write(&file, header, sizeof header, err);
    for (size_t row = 0; status == UPG_OK && row < n_rows; row++)
        status = output_file_write(&file, values + row * n_cols, n_cols * sizeof *values, err);
    return output_file_close(&file, status, err);
}

static upg_status write_document(const char *path, const upg_tokens *ids, size_t n_vocab,
                                 upg_error *err)
{
    json_t *document = json_pack("{s:o, s:[I, I], s:o}", "file", json_c_text(path), "shape",
                                 (json_int_t)ids->n, (json_int_t)n_vocab, "ids", json_ids(ids));

    return json_write(document, JSON_INDENT(2), err);
}

static upg_status get_ids(upg_tokens *ids, const struct opened *opened,
                          const struct settings *settings, upg_error *err)
{
    const upg_tokenizer *tokenizer = NULL;
    struct text text = {0};
    upg_status status;

    if (settings->ids.n > 0)
        return upg_tokens_append(ids, settings->ids.ids, settings->ids.n, err);
    status = require_tokenizer(opened, &tokenizer, err);
    if (status == UPG_OK)
        status = text_of_settings(&text, settings, 1, err);
    if (status == UPG_OK)
        status = upg_tokenize(tokenizer, text.bytes, text.n,
                              settings->parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN,
                              ids, err);
    if (status == UPG_OK && ids->n == 0)
        status = fail(err, UPG_ERR_ARGUMENT, "the text is empty: there are no tokens");
    text_clear(&text);
    return status;
}

/* All tokens in one go: the factors of LongRoPE are chosen by the length of the whole text. */
static upg_status compute(struct opened *opened, const upg_tokens *ids,
                          const struct settings *settings, upg_error *err)
{
    const char *path = settings->operands[0];
    upg_sequence *sequence = NULL;
    struct progress progress;
    const float *values;
    size_t n_rows;
    upg_status status = upg_sequence_new(&sequence, opened->engine, err);

    if (status != UPG_OK)
        return status;
    progress_begin(&progress, NULL, wants_progress(settings));
    status =
        upg_sequence_append(sequence, ids->ids, ids->n, ids->n, progress_update, &progress, err);
    progress_end(&progress);
    if (status == UPG_OK) {
        values = upg_sequence_logits(sequence, &n_rows);
        status = write_npy(path, values, n_rows, opened->info.n_vocab, err);
    }
    if (status == UPG_OK && settings->json)
        status = write_document(path, ids, opened->info.n_vocab, err);
    else if (status == UPG_OK && strcmp(path, "-") != 0)
        note("%s: logits [%zu, %zu]", path, n_rows, opened->info.n_vocab);
    upg_sequence_free(sequence);
    return status;
}

upg_status logits_command(const struct settings *settings, upg_error *err)
{
    struct opened opened = {0};
    upg_tokens ids = {0};
    size_t context;
    upg_status status;

    if (settings->ids.n > 0 && (settings->prompt || settings->prompt_file))
        return fail(err, UPG_ERR_ARGUMENT, "--ids stands in place of -p or -f");
    if (settings->json && strcmp(settings->operands[0], "-") == 0)
        return fail(err, UPG_ERR_ARGUMENT, "--json and '-' both want standard output");
    status = open_model(&opened, settings->model, settings, err);
    if (status == UPG_OK)
        status = get_ids(&ids, &opened, settings, err);
    context = (size_t)settings->context;
    if (context == 0) /* what the text needs; if it is too long, the engine says so */
        context = ids.n < opened.info.context ? ids.n : opened.info.context;
    if (status == UPG_OK)
        status = open_engine(&opened, context, settings, err);
    if (status == UPG_OK)
        status = compute(&opened, &ids, settings, err);
    upg_tokens_clear(&ids);
    opened_close(&opened);
    return status;
}
