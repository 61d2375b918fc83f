/* tokenize.c -- upg tokenize: text to ids and back. */
#include "cli/commands.h"

#include "cli/input.h"
#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/tokenize_jsonl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A list of ids separated by blanks or commas, perhaps in brackets. */
static upg_status parse_ids(const upg_tokenizer *tokenizer, const struct text *text,
                            upg_tokens *ids, upg_error *err)
{
    const size_t n_ids = upg_tokenizer_n_ids(tokenizer);
    upg_status status = UPG_OK;

    for (const char *next = text->bytes; status == UPG_OK;) {
        char *end;
        long value;
        int32_t id;

        next += strspn(next, " \t\r\n,[]");
        if (*next == '\0')
            break;
        errno = 0;
        value = strtol(next, &end, 10);
        if (end == next || (*end && !strchr(" \t\r\n,[]", *end)))
            return fail(err, UPG_ERR_ARGUMENT, "'%.*s' is no token id",
                        (int)strcspn(next, " \t\r\n,[]"), next);
        if (errno != 0 || value < 0 || (size_t)value >= n_ids)
            return fail(err, UPG_ERR_ARGUMENT, "id %.*s is not in the vocabulary of %zu tokens",
                        (int)(end - next), next, n_ids);
        id = (int32_t)value;
        status = upg_tokens_append(ids, &id, 1, err);
        next = end;
    }
    return status;
}

/* A string or, where the token is no whole UTF-8 text, an array of bytes. */
static json_t *json_piece(const upg_tokenizer *tokenizer, int32_t id)
{
    const char *bytes;
    size_t n;
    json_t *piece;

    upg_token_bytes(tokenizer, id, 0, &bytes, &n);
    piece = json_stringn(n > 0 ? bytes : "", n);
    if (piece)
        return piece;
    piece = json_array();
    for (size_t i = 0; piece && i < n; i++)
        if (json_array_append_new(piece, json_integer((unsigned char)bytes[i])) != 0) {
            json_decref(piece);
            piece = NULL;
        }
    return piece;
}

static json_t *json_pieces(const upg_tokenizer *tokenizer, const upg_tokens *ids)
{
    json_t *pieces = json_array();

    for (size_t i = 0; pieces && i < ids->n; i++)
        if (json_array_append_new(pieces, json_piece(tokenizer, ids->ids[i])) != 0) {
            json_decref(pieces);
            pieces = NULL;
        }
    return pieces;
}

/* The text of all ids in one buffer, whole characters only. */
static upg_status decode_ids(const upg_tokenizer *tokenizer, const upg_tokens *ids,
                             struct text *out, upg_error *err)
{
    upg_detokenizer detokenizer = {0};
    size_t capacity = UPG_DETOKENIZE_CAPACITY(0);
    const char *bytes;
    size_t n;

    for (size_t i = 0; i < ids->n; i++) {
        upg_token_bytes(tokenizer, ids->ids[i], 0, &bytes, &n);
        capacity += UPG_DETOKENIZE_CAPACITY(n);
    }
    out->bytes = malloc(capacity);
    if (!out->bytes)
        return fail_memory(err, "the text");
    for (size_t i = 0; i < ids->n; i++) {
        upg_token_bytes(tokenizer, ids->ids[i], 0, &bytes, &n);
        if (n > 0)
            out->n += upg_detokenize(&detokenizer, bytes, n, out->bytes + out->n);
    }
    out->n += upg_detokenize(&detokenizer, NULL, 0, out->bytes + out->n);
    return UPG_OK;
}

static upg_status write_document(const upg_tokenizer *tokenizer, const upg_tokens *ids,
                                 const struct text *decoded, upg_error *err)
{
    json_t *document = json_pack("{s:o, s:o, s:I}", "ids", json_ids(ids), "pieces",
                                 json_pieces(tokenizer, ids), "count", (json_int_t)ids->n);

    if (document && decoded->bytes &&
        json_object_set_new(document, "text", json_text(decoded->bytes, decoded->n)) != 0) {
        json_decref(document);
        document = NULL;
    }
    return json_write(document, 0, err);
}

static void write_ids(const upg_tokens *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        printf("%s%d", i > 0 ? " " : "", (int)ids->ids[i]);
    putchar('\n');
}

static void write_text(const struct text *text)
{
    fwrite(text->bytes, 1, text->n, stdout);
    if (isatty(STDOUT_FILENO))
        putchar('\n');
}

static upg_status convert(const upg_tokenizer *tokenizer, const struct text *text,
                          const struct settings *settings, upg_error *err)
{
    struct text decoded = {0};
    upg_tokens ids = {0};
    upg_status status;

    if (settings->decode)
        status = parse_ids(tokenizer, text, &ids, err);
    else
        status = upg_tokenize(tokenizer, text->bytes, text->n,
                              settings->parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN,
                              &ids, err);
    if (status == UPG_OK && settings->decode)
        status = decode_ids(tokenizer, &ids, &decoded, err);
    if (status == UPG_OK && settings->json)
        status = write_document(tokenizer, &ids, &decoded, err);
    else if (status == UPG_OK && settings->decode)
        write_text(&decoded);
    else if (status == UPG_OK)
        write_ids(&ids);
    text_clear(&decoded);
    upg_tokens_clear(&ids);
    return status;
}

upg_status tokenize_command(const struct settings *settings, upg_error *err)
{
    upg_tokenizer *tokenizer = NULL;
    struct text text = {0};
    upg_status status = UPG_OK;

    if (settings->jsonl_file &&
        (settings->prompt || settings->prompt_file || settings->n_operands > 0 || settings->decode))
        return fail(err, UPG_ERR_ARGUMENT, "--jsonl takes the texts from its file alone");
    if (!settings->jsonl_file)
        status = text_of_settings(&text, settings, 0, err);
    if (status == UPG_OK)
        status = upg_tokenizer_open(&tokenizer, settings->model, err);
    if (status == UPG_OK && settings->jsonl_file)
        status = tokenize_jsonl(tokenizer, settings->jsonl_file, err);
    else if (status == UPG_OK)
        status = convert(tokenizer, &text, settings, err);
    upg_tokenizer_free(tokenizer);
    text_clear(&text);
    return status;
}
