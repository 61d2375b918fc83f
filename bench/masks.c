/* masks.c -- how long masks take.
 *
 *     masks TOKENIZER
 *
 * TOKENIZER is anything that upg_tokenizer_open() opens.  For each grammar a sample text is
 * followed token by token, twice with one grammar: the first time finds out what the vocabulary
 * allows, the second time finds it there.  Then twice more with hardly more room than the text
 * needs, so that all that could come next is judged.  Times are microseconds of one
 * upg_constraint_mask_within(). */
#include "upg/upg.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_TOKENS = 4096, N_MORE = 8 /* tokens of room beyond the text */ };

static const struct round {
    const char *name;
    bool is_short; /* of room */
} rounds[] = {{"first", false}, {"again", false}, {"short", true}, {"again", true}};

static const struct sample {
    const char *name;
    upg_grammar_kind kind;
    const char *grammar, *text;
} samples[] = {
    {"any JSON", UPG_GRAMMAR_JSON_SCHEMA, "true",
     "{\"title\": \"The quick brown fox\", \"items\": [1, 2.5, -3e7, {\"deep\": [true, null]}], "
     "\"note\": \"a \\\"quoted\\\" word, \\u00e9 and \\n\", \"empty\": {}, \"last\": [[], [[]]]}"},
    {"a person", UPG_GRAMMAR_JSON_SCHEMA,
     "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 80}, "
     "\"age\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 150}, \"born\": {\"type\": "
     "\"string\", \"format\": \"date\"}, \"mail\": {\"type\": \"string\", \"format\": \"email\"}, "
     "\"tags\": {\"type\": \"array\", \"items\": {\"enum\": [\"red\", \"green\", \"blue\"]}}}, "
     "\"required\": [\"name\", \"age\", \"born\", \"tags\"], \"additionalProperties\": false}",
     "{\"name\": \"Ada King, Countess of Lovelace\", \"age\": 36, \"born\": \"1815-12-10\", "
     "\"mail\": \"ada.king@example.org\", \"tags\": [\"red\", \"blue\", \"green\"]}"},
    {"a list, recursive", UPG_GRAMMAR_JSON_SCHEMA,
     "{\"$ref\": \"#/$defs/n\", \"$defs\": {\"n\": {\"type\": \"object\", \"properties\": "
     "{\"value\": {\"type\": \"string\"}, \"next\": {\"anyOf\": [{\"$ref\": \"#/$defs/n\"}, "
     "{\"type\": \"null\"}]}}, \"required\": [\"value\", \"next\"]}}}",
     "{\"value\": \"first\", \"next\": {\"value\": \"second one\", \"next\": {\"value\": "
     "\"third\", "
     "\"next\": null, \"more\": 1}}}"},
    {"pattern and length", UPG_GRAMMAR_JSON_SCHEMA,
     "{\"type\": \"string\", \"pattern\": \"^[A-Za-z]+( [a-z]+)*\\\\.$\", \"minLength\": 20, "
     "\"maxLength\": 200}",
     "\"There is nothing so practical as a good theory.\""},
    {"password rules", UPG_GRAMMAR_JSON_SCHEMA,
     "{\"type\": \"string\", \"pattern\": \"^(?=.*[A-Z])(?=.*[0-9])(?!.*password).{8,40}$\"}",
     "\"Correct horse 7 battery staple\""},
    {"regular expression", UPG_GRAMMAR_REGEX, "[A-Z][a-z]+(, [a-z]+){2,}: .*",
     "Colours, red, green, blue: and everything that is between them"},
    {"arithmetic, GBNF", UPG_GRAMMAR_GBNF,
     "root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [a-z]+ | [0-9]+ | \"(\" expr \")\"",
     "(alpha+12*(beta-gamma))/delta*(7-(8-(9-x)))"},
};

static void stop_at(const char *what, const upg_error *err)
{
    fprintf(stderr, "masks: %s: %s\n", what, err->message);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other programs do not count */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare(const void *p, const void *q)
{
    const double a = *(const double *)p, b = *(const double *)q;

    return a < b ? -1 : a > b;
}

/* Follow the tokens once; times[n] of the masks, sorted. */
static void follow(upg_grammar *grammar, const upg_tokens *tokens, bool is_short, uint32_t *bits,
                   size_t n_words, double *times)
{
    upg_constraint *constraint = NULL;
    upg_error err;

    if (upg_constraint_new(&constraint, grammar, &err) != UPG_OK)
        stop_at("constraint", &err);
    for (size_t i = 0; i < tokens->n; i++) {
        const double start = now_us();
        const int32_t id = tokens->ids[i];
        const size_t n_left = is_short ? tokens->n - i + N_MORE : MAX_TOKENS;

        if (upg_constraint_mask_within(constraint, n_left, bits, n_words, &err) != UPG_OK)
            stop_at("mask", &err);
        times[i] = now_us() - start;
        if (!(bits[id / 32] >> (id % 32) & 1) ||
            upg_constraint_accept(constraint, id, &err) != UPG_OK)
            stop_at("a token of the sample is not allowed", &err);
    }
    upg_constraint_free(constraint);
    qsort(times, tokens->n, sizeof *times, compare);
}

static void measure(const struct sample *sample, const upg_tokenizer *tokenizer,
                    upg_vocabulary *vocabulary)
{
    static double times[MAX_TOKENS];
    const size_t n_words = (upg_tokenizer_n_ids(tokenizer) + 31) / 32;
    uint32_t *bits = malloc(n_words * sizeof *bits);
    const double start = now_us();
    upg_grammar *grammar = NULL;
    upg_tokens tokens = {0};
    upg_error err = {0};

    if (upg_grammar_new(&grammar, vocabulary, sample->kind, sample->grammar,
                        strlen(sample->grammar), NULL, &err) != UPG_OK)
        stop_at(sample->name, &err);
    printf("%-20s compile %8.0f us\n", sample->name, now_us() - start);
    if (!bits || upg_tokenize(tokenizer, sample->text, strlen(sample->text), UPG_TEXT_PLAIN,
                              &tokens, &err) != UPG_OK)
        stop_at(sample->name, &err);
    for (size_t round = 0; round < sizeof rounds / sizeof *rounds; round++) {
        follow(grammar, &tokens, rounds[round].is_short, bits, n_words, times);
        printf("    %s %3zu tokens: median %7.1f, p90 %7.1f, greatest %7.1f us\n",
               rounds[round].name, tokens.n, times[tokens.n / 2], times[tokens.n * 9 / 10],
               times[tokens.n - 1]);
    }
    upg_tokens_clear(&tokens);
    upg_grammar_free(grammar);
    free(bits);
}

int main(int argc, char **argv)
{
    upg_tokenizer *tokenizer = NULL;
    upg_vocabulary *vocabulary = NULL;
    upg_error err = {0};
    double start;

    if (argc != 2) {
        fprintf(stderr, "usage: masks TOKENIZER\n");
        return 2;
    }
    if (upg_tokenizer_open(&tokenizer, argv[1], &err) != UPG_OK)
        stop_at(argv[1], &err);
    start = now_us();
    if (upg_vocabulary_new(&vocabulary, tokenizer, NULL, 0, &err) != UPG_OK)
        stop_at("vocabulary", &err);
    printf("%zu ids, vocabulary %.1f ms\n", upg_tokenizer_n_ids(tokenizer),
           (now_us() - start) * 1e-3);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        measure(&samples[i], tokenizer, vocabulary);
    upg_vocabulary_free(vocabulary);
    upg_tokenizer_free(tokenizer);
    return 0;
}
