/* tokenize.c -- how fast is text turned into ids?
 *
 *     bench_tokenize TOKENIZER.json TEXT [RUNS]
 *
 * Prints the time to read the tokenizer, and megabytes (10^6 bytes) of text a second on one core:
 * median and spread of RUNS (default 5) runs over the whole text, and of lines one by one, as short
 * messages are. */
#include "base/buffer.h"
#include "text/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { MAX_RUNS = 100 };

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int by_size(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* Tokenize pieces of text[n] that end with a newline, or all of it at once. */
static upg_status tokenize(const upg_tokenizer *tokenizer, const struct upg_buffer *text, int lines,
                           size_t *n_tokens, upg_error *err)
{
    upg_tokens tokens = {0};
    upg_status status = UPG_OK;
    size_t end;

    *n_tokens = 0;
    for (size_t begin = 0; begin < text->n && status == UPG_OK; begin = end) {
        const char *newline = lines ? memchr(text->bytes + begin, '\n', text->n - begin) : NULL;
        end = newline ? (size_t)(newline - text->bytes) + 1 : text->n;
        tokens.n = 0;
        status =
            upg_tokenize(tokenizer, text->bytes + begin, end - begin, UPG_TEXT_PLAIN, &tokens, err);
        *n_tokens += tokens.n;
    }
    upg_tokens_clear(&tokens);
    return status;
}

static upg_status bench(const upg_tokenizer *tokenizer, const struct upg_buffer *text, int lines,
                        size_t n_runs, upg_error *err)
{
    double mb_per_s[MAX_RUNS] = {0};
    size_t n_tokens = 0;

    for (size_t i = 0; i < n_runs; i++) {
        const double begin = now();
        const upg_status status = tokenize(tokenizer, text, lines, &n_tokens, err);
        if (status != UPG_OK)
            return status;
        mb_per_s[i] = 1e-6 * (double)text->n / (now() - begin);
    }
    qsort(mb_per_s, n_runs, sizeof *mb_per_s, by_size);
    printf("%-10s %6.1f MB/s (%.1f .. %.1f), %zu bytes, %zu tokens\n", lines ? "lines" : "whole",
           mb_per_s[n_runs / 2], mb_per_s[0], mb_per_s[n_runs - 1], text->n, n_tokens);
    return UPG_OK;
}

int main(int argc, char **argv)
{
    struct upg_buffer json = {0}, text = {0};
    upg_tokenizer *tokenizer = NULL;
    upg_error err;
    struct rusage usage;
    double begin;
    size_t n_runs = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    upg_status status;

    if (argc < 3 || n_runs == 0 || n_runs > MAX_RUNS) {
        fprintf(stderr, "usage: bench_tokenize TOKENIZER.json TEXT [RUNS]\n");
        return 2;
    }
    status = upg_buffer_read_file(&json, argv[1], SIZE_MAX, &err);
    if (status == UPG_OK)
        status = upg_buffer_read_file(&text, argv[2], SIZE_MAX, &err);
    begin = now();
    if (status == UPG_OK)
        status = upg_tokenizer_from_json(&tokenizer, argv[1], json.bytes, json.n, NULL, 0, NULL, 0,
                                         &err);
    if (status == UPG_OK)
        printf("%-10s %6.3f s\n", "read", now() - begin);
    for (int lines = 0; lines < 2 && status == UPG_OK; lines++)
        status = bench(tokenizer, &text, lines, n_runs, &err);
    if (status != UPG_OK)
        fprintf(stderr, "bench_tokenize: %s\n", err.message);
    getrusage(RUSAGE_SELF, &usage);
    printf("%-10s %6.1f MB\n", "peak", 1024e-6 * (double)usage.ru_maxrss);
    upg_tokenizer_free(tokenizer);
    upg_buffer_clear(&json);
    upg_buffer_clear(&text);
    return status == UPG_OK ? 0 : 1;
}
