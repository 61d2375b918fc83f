/* upg.h -- the public C API of upg, an inference engine for the Phi-4 family.
 *
 * Whoever reads only this header can write a program.  Two nouns carry everything: a *model*
 * (immutable, shared, opened from a .upg file, a Hugging Face directory, a GGUF file, or embedded
 * in the library) and an *engine* (owns caches and threads, runs sequences of tokens through one
 * model).  A *scheduler* owns an engine and runs many requests on it at once.  Long because a program
 * includes one header, and it can be read from top to bottom.
 *
 * Rules that hold everywhere:
 *   - A function that can fail returns upg_status and takes an upg_error last; err may be NULL.  On
 * failure outputs are untouched unless the text says otherwise, and err->message names file, field,
 * what is wrong and what to do.  No function aborts, exits or prints.
 *   - Option structs begin with a size field, filled by their _defaults() function, so that fields
 * can be added.
 *   - Text is UTF-8 with an explicit length in bytes unless it is said to be a C string.
 *   - Pointers that were passed in are borrowed for the call only.
 */
#ifndef UPG_UPG_H
#define UPG_UPG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define UPG_API __attribute__((visibility("default")))
#else
#define UPG_API
#endif

/* ---- Status and errors
 * ------------------------------------------------------------------------------------ */

/* Numbers are stable. */
typedef enum upg_status {
    UPG_OK = 0,
    UPG_ERR_ARGUMENT = 1,    /* the caller's argument is out of range or contradicts another */
    UPG_ERR_IO = 2,          /* the system refused to open, read, write or map */
    UPG_ERR_FORMAT = 3,      /* a file is damaged or lies about itself */
    UPG_ERR_UNSUPPORTED = 4, /* a file is fine but asks for something this version does not do */
    UPG_ERR_MEMORY = 5,      /* out of memory */
    UPG_ERR_SPACE = 6,       /* out of disk space */
    UPG_ERR_CONTEXT = 7,     /* the sequence would be longer than its context */
    UPG_ERR_CANCELLED = 8,   /* a callback asked to stop */
    UPG_ERR_INTERNAL = 9,    /* a bug in upg */
    UPG_ERR_BUSY = 10        /* the scheduler's queue is full, or it is draining; try again later */
} upg_status;

typedef struct upg_error {
    upg_status status;
    char message[1024]; /* zero-terminated, without "upg:" in front and without a newline at the end
                         */
} upg_error;

/* A short name of a status ("bad argument"), a static C string; never NULL. */
UPG_API const char *upg_status_name(upg_status status);

/* The version as "MAJOR.MINOR.PATCH", a static C string. */
UPG_API const char *upg_version(void);

/* Called while something long goes on, from the thread that called the function.
 *   stage   what is being done, a static C string ("read weights", "prefill")
 *   done    units done so far, 0 .. total
 *   total   units in all; 0 if not known
 * Return 0 to go on, anything else to stop: the function then returns UPG_ERR_CANCELLED. */
typedef int (*upg_progress_fn)(void *context, const char *stage, uint64_t done, uint64_t total);

/* ---- Model
 * ------------------------------------------------------------------------------------------------
 */

typedef struct upg_model upg_model;
typedef struct upg_tokenizer upg_tokenizer;

typedef struct upg_model_options {
    size_t size;
    upg_progress_fn progress; /* may be NULL */
    void *progress_context;
} upg_model_options;

UPG_API void upg_model_options_defaults(upg_model_options *options);

/* Open a model.
 *
 *   model    receives the model; the caller owns it and frees it with upg_model_free()
 *   path     C string: a .upg file, a Hugging Face directory, or a GGUF file; NULL opens the
 * embedded model options  NULL means the defaults
 *
 * Weights are mapped, not read: pages come in when they are first used.  Everything that the file
 * claims is checked against its size before it is used.  Norms and scales that are not finite are
 * refused, and so are weights: all of them in models of up to 256 MiB, beyond that a sample of each
 * matrix (upg_verify() looks at all).  Returns UPG_OK; UPG_ERR_IO,
 * UPG_ERR_FORMAT, UPG_ERR_UNSUPPORTED, UPG_ERR_MEMORY, UPG_ERR_CANCELLED. */
UPG_API upg_status upg_model_open(upg_model **model, const char *path,
                                  const upg_model_options *options, upg_error *err);

/* Check every byte of a model's file.
 *
 *   path     as for upg_model_open(); NULL: the embedded model
 *   options  progress in bytes; NULL means the defaults
 *
 * A .upg file is held against the checksums that it carries, tensor by tensor; a message names the
 * tensor that is damaged.  Other formats have none; they are opened, and all their weights looked
 * at.  Statuses as for upg_model_open(). */
UPG_API upg_status upg_verify(const char *path, const upg_model_options *options, upg_error *err);

/* Free a model.  NULL is allowed.  No engine may use it any more. */
UPG_API void upg_model_free(upg_model *model);

/* What a model is.  Filled from the config; strings live as long as the model. */
typedef struct upg_model_info {
    const char *architecture; /* "Phi3ForCausalLM", "LlamaForCausalLM" */
    const char *format;       /* "upg", "hf", "gguf" */
    const char *path;         /* as opened; "(embedded)" for the embedded model */
    uint64_t n_parameters;    /* logical weights; a tied head is counted once */
    uint64_t n_file_bytes;    /* all files together */
    size_t n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, rotary_dim, n_vocab;
    size_t context; /* longest sequence that the model was made for, in tokens */
    double rope_theta, norm_eps;
    int tied_embeddings;     /* 1: the head is the embedding */
    const int32_t *stop_ids; /* [n_stop_ids] any of these ends an answer */
    size_t n_stop_ids;
    const char *chat_template; /* name of the template in use ("phi-4"), NULL if there is none */
    const char
        *metadata_json; /* the file's own provenance and quality, one JSON object; NULL if none */
} upg_model_info;

UPG_API void upg_model_get_info(const upg_model *model, upg_model_info *info);

/* One tensor of the file's directory. */
typedef struct upg_tensor_info {
    const char *name;  /* lives as long as the model */
    const char *type;  /* "BF16", "F32", "I8 rows", "UPG3", "Q4_1", ... */
    size_t n_dims;     /* 1 or 2 */
    uint64_t shape[2]; /* [rows, columns], or [n, 1] */
    double bits;       /* bits a weight, scales and padding included */
    uint64_t n_bytes;  /* as stored */
} upg_tensor_info;

UPG_API size_t upg_model_n_tensors(const upg_model *model);

/* Tensor number i, 0 .. upg_model_n_tensors()-1, in file order.  UPG_ERR_ARGUMENT beyond. */
UPG_API upg_status upg_model_get_tensor(const upg_model *model, size_t i, upg_tensor_info *info,
                                        upg_error *err);

/* The model's tokenizer; borrowed, lives as long as the model; NULL if the model came without one
 * (a directory without tokenizer.json can still compute logits of ids). */
UPG_API const upg_tokenizer *upg_model_tokenizer(const upg_model *model);

/* ---- Tokenizer and chat
 * ----------------------------------------------------------------------------------- */

/* A growable list of token ids.  Start from {0}; free with upg_tokens_clear(). */
typedef struct upg_tokens {
    int32_t *ids; /* [n] */
    size_t n, capacity;
} upg_tokens;

UPG_API void upg_tokens_clear(upg_tokens *tokens);

/* Append n ids.  UPG_ERR_MEMORY leaves the list as it was. */
UPG_API upg_status upg_tokens_append(upg_tokens *tokens, const int32_t *ids, size_t n,
                                     upg_error *err);

/* Open a tokenizer without a model: path is any MODEL (NULL: the embedded one), or a directory that
 * holds only tokenizer.json (and config.json, tokenizer_config.json for the chat template).  The
 * caller owns it. */
UPG_API upg_status upg_tokenizer_open(upg_tokenizer **tokenizer, const char *path, upg_error *err);
UPG_API void upg_tokenizer_free(upg_tokenizer *tokenizer);

/* 1 + the greatest id that the tokenizer knows. */
UPG_API size_t upg_tokenizer_n_ids(const upg_tokenizer *tokenizer);

enum { UPG_TEXT_PLAIN = 0, UPG_TEXT_PARSE_SPECIAL = 1 };

/* Append the ids of text[n_bytes] to tokens.
 *   flags  UPG_TEXT_PLAIN: all of it is plain text, even what looks like a special token;
 *          UPG_TEXT_PARSE_SPECIAL: added tokens are matched, with their strip flags, as Hugging
 * Face does Invalid UTF-8 is encoded byte by byte as what it is.  Time is O(n log n). */
UPG_API upg_status upg_tokenize(const upg_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                int flags, upg_tokens *tokens, upg_error *err);

/* The bytes of one token; possibly part of a character.  *bytes lives as long as the tokenizer.
 * Ids without a token give n_bytes 0.  skip_special: special tokens give 0 bytes. */
UPG_API void upg_token_bytes(const upg_tokenizer *tokenizer, int32_t id, int skip_special,
                             const char **bytes, size_t *n_bytes);

/* Turns a stream of tokens into text that is always whole UTF-8 characters.  Start from {0}.
 * A character that is not complete yet is held back; what can never become one comes out as U+FFFD.
 */
typedef struct upg_detokenizer {
    unsigned char held[4];
    unsigned n_held;
} upg_detokenizer;

/* Room that upg_detokenize() needs for n_bytes of token bytes: each may become a U+FFFD, and 3 are
 * held. */
#define UPG_DETOKENIZE_CAPACITY(n_bytes) (3 * (n_bytes) + 12)

/* Feed token bytes, get text.  out has room for UPG_DETOKENIZE_CAPACITY(n_bytes); returns the bytes
 * written. bytes NULL ends the stream and flushes what is held. */
UPG_API size_t upg_detokenize(upg_detokenizer *detokenizer, const char *bytes, size_t n_bytes,
                              char *out);

/* One turn of a conversation.  C strings. */
typedef struct upg_message {
    const char *role; /* "system", "user", "assistant", "tool" */
    const char *content;
    const char *tools; /* JSON array text of tools offered in a system message; NULL: none */
} upg_message;

/* Render a conversation with the tokenizer's chat template and append its ids.
 * Only the template's own literals become control tokens: whatever a message contains is plain
 * text. prompt  if not NULL, receives the rendered text as a C string that the caller frees with
 * upg_free() UPG_ERR_UNSUPPORTED if the model has no template that upg knows. */
UPG_API upg_status upg_chat_render(const upg_tokenizer *tokenizer, const upg_message *messages,
                                   size_t n_messages, int add_generation_prompt, upg_tokens *tokens,
                                   char **prompt, upg_error *err);

/* Frees strings that this API returned for the caller to own.  NULL is allowed. */
UPG_API void upg_free(void *memory);

/* ---- Engine and sequences
 * --------------------------------------------------------------------------------- */

typedef struct upg_engine upg_engine;
typedef struct upg_sequence upg_sequence;

typedef enum upg_kv_type {
    UPG_KV_F16 = 0,
    UPG_KV_Q8 = 1,
    UPG_KV_Q4 = 2,
    UPG_KV_F32 = 3
} upg_kv_type;
typedef enum upg_compute { UPG_COMPUTE_FAST = 0, UPG_COMPUTE_REFERENCE = 1 } upg_compute;

typedef struct upg_engine_options {
    size_t size;
    size_t n_threads;    /* 0: one a physical core */
    size_t context;      /* most tokens of one sequence; 0: the model's context, at most 4096 */
    size_t cache_tokens; /* tokens that the KV cache holds for all sequences together; 0: context */
    upg_kv_type kv_type;
    upg_compute
        compute; /* UPG_COMPUTE_REFERENCE: the scalar specification, slow, float32 throughout */
    const char *cpu_tier; /* highest kernel tier allowed: "scalar", "avx2", "avx512", "amx", "neon";
                             NULL: best */
    const char
        *device; /* "cpu" or NULL; "gpu": the best GPU; "gpu:N": number N of the Vulkan driver's
                    list; "auto": a GPU if there is one, the model is worth it, and a layer fits */
    upg_progress_fn progress; /* of reading weights that are not in memory yet; may be NULL */
    void *progress_context;
    size_t gpu_layers; /* with a GPU: the head and so many of the model's layers, the last ones, are
                          computed there, the others by the CPU; UPG_GPU_LAYERS_THAT_FIT, the
                          default: as many as its free memory holds */
} upg_engine_options;

#define UPG_GPU_LAYERS_THAT_FIT SIZE_MAX

UPG_API void upg_engine_options_defaults(upg_engine_options *options);

/* Make an engine.  It borrows the model, which must outlive it.  The caller owns the engine.
 * An engine and its sequences are used by one thread at a time. */
UPG_API upg_status upg_engine_new(upg_engine **engine, const upg_model *model,
                                  const upg_engine_options *options, upg_error *err);
UPG_API void
upg_engine_free(upg_engine *engine); /* its sequences must be freed first; NULL is allowed */

/* The kernel tier in use and why no higher one ("avx512 (highest this CPU has)"); lives as long as
 * the engine. */
UPG_API const char *upg_engine_tier(const upg_engine *engine);

/* Bytes that the engine holds: caches and scratch, without the model's weights. */
UPG_API uint64_t upg_engine_n_bytes(const upg_engine *engine);

/* What an engine would take, in bytes. */
typedef struct upg_memory_plan {
    uint64_t weight_bytes;  /* the model's files, mapped: engines and programs share them */
    uint64_t cache_bytes;   /* keys and values */
    uint64_t scratch_bytes; /* buffers of a step, tables, logits of one token */
    uint64_t total_bytes;
    uint64_t token_bytes; /* of weights that computing one token reads */
    size_t context;       /* tokens, as completed from the options */
    size_t n_threads;
} upg_memory_plan;

/* Fill in *plan without weights being read or memory being used: upg_engine_new() with the same
 * options takes exactly cache_bytes + scratch_bytes.  The model may be an outline.  Statuses as of
 * upg_engine_new(). */
UPG_API upg_status upg_engine_plan(const upg_model *model, const upg_engine_options *options,
                                   upg_memory_plan *plan, upg_error *err);

/* The kernel tier that an engine would use and why no higher one, as upg_engine_tier() says it.
 *   highest  as upg_engine_options.cpu_tier
 *   text     receives the sentence, zero-terminated, cut to n_text bytes */
UPG_API upg_status upg_cpu_tier(const char *highest, char *text, size_t n_text, upg_error *err);

UPG_API upg_status upg_sequence_new(upg_sequence **sequence, upg_engine *engine, upg_error *err);
UPG_API void upg_sequence_free(upg_sequence *sequence);

/* Number of tokens appended so far. */
UPG_API size_t upg_sequence_n_tokens(const upg_sequence *sequence);

/* The tokens, [upg_sequence_n_tokens()]; borrowed until the next call on this sequence. */
UPG_API const int32_t *upg_sequence_ids(const upg_sequence *sequence);

/* Forget the tokens from position n_tokens on (n_tokens <= current number). */
UPG_API upg_status upg_sequence_truncate(upg_sequence *sequence, size_t n_tokens, upg_error *err);

/* A copy that shares the cache blocks of its origin until one of the two writes. */
UPG_API upg_status upg_sequence_fork(upg_sequence **copy, const upg_sequence *sequence,
                                     upg_error *err);

/* Save a sequence with what the cache holds of it, so that it can go on later without computing it
 * again.
 *
 *   path  C string; the file appears under this name when it is complete.  It is as large as the
 *         cache of its tokens (Phi-4 in f16: 0.2 MB a token).
 *
 * UPG_ERR_IO, UPG_ERR_SPACE; UPG_ERR_UNSUPPORTED on a GPU. */
UPG_API upg_status upg_sequence_save(const upg_sequence *sequence, const char *path,
                                     upg_error *err);

/* A new sequence from a file that upg_sequence_save() wrote.  Every block is checked before it is
 * used.  UPG_ERR_ARGUMENT if it was saved with another model, cache type or kernel tier;
 * UPG_ERR_FORMAT if it is damaged; UPG_ERR_CONTEXT; UPG_ERR_MEMORY if the engine's cache has no room;
 * UPG_ERR_IO; UPG_ERR_UNSUPPORTED on a GPU. */
UPG_API upg_status upg_sequence_load(upg_sequence **sequence, upg_engine *engine, const char *path,
                                     upg_error *err);

/* Run n >= 1 tokens through the model; afterwards logits for the last n_logits of them (0 .. n) can
 * be read. progress  called once a chunk; may be NULL UPG_ERR_CONTEXT if the sequence would exceed
 * the engine's context, naming both numbers; UPG_ERR_ARGUMENT if an id is not in the vocabulary;
 * UPG_ERR_CANCELLED.  After a failure the sequence is as before. */
UPG_API upg_status upg_sequence_append(upg_sequence *sequence, const int32_t *ids, size_t n,
                                       size_t n_logits, upg_progress_fn progress,
                                       void *progress_context, upg_error *err);

/* Logits of the tokens appended last: [n_logits, n_vocab] float32, row-major, not normalised;
 * borrowed until the next call on this sequence's engine.  NULL if none were asked for. */
UPG_API const float *upg_sequence_logits(const upg_sequence *sequence, size_t *n_rows);

/* As upg_sequence_append() without logits; hidden[n, d_model] receives the states of these tokens
 * behind the last norm, which the head makes logits of.  After a failure some of it may be written.
 * UPG_ERR_UNSUPPORTED on a GPU. */
UPG_API upg_status upg_sequence_append_hidden(upg_sequence *sequence, const int32_t *ids, size_t n,
                                              float *hidden, upg_progress_fn progress,
                                              void *progress_context, upg_error *err);

/* ---- Constrained output ----------------------------------------------------------------------------------- */

/* Text that keeps a form: a *grammar* is compiled from a JSON Schema, a regular expression or a GBNF
 * grammar for one *vocabulary*; a *constraint* follows one text through it, token by token, and says
 * which tokens may come next.
 *
 *     upg_vocabulary_new(&vocabulary, tokenizer, info.stop_ids, info.n_stop_ids, &err);
 *     upg_grammar_new(&grammar, vocabulary, UPG_GRAMMAR_JSON_SCHEMA, text, n, NULL, &err);
 *     upg_constraint_new(&constraint, grammar, &err);
 *     options.constraint = constraint;              // upg_generate() does the rest
 *
 * Vocabulary and grammar count their users: whoever makes something of them keeps them alive, so
 * each may be freed by its maker at any time.  Both may be used by several threads at once; one
 * constraint by one thread at a time.  Forms, keywords and limits: docs/constrained-output.md. */
typedef struct upg_vocabulary upg_vocabulary;
typedef struct upg_grammar upg_grammar;
typedef struct upg_constraint upg_constraint;

/* The tokens of a model as constraints see them: about 5 MB and 50 ms for 100 000 tokens, so made
 * once a model.
 *
 *   tokenizer  read during the call only
 *   stop_ids   [n_stop_ids] tokens that end an answer (upg_model_info has them)
 *
 * UPG_ERR_ARGUMENT if a stop id is no token; UPG_ERR_MEMORY. */
UPG_API upg_status upg_vocabulary_new(upg_vocabulary **vocabulary, const upg_tokenizer *tokenizer,
                                      const int32_t *stop_ids, size_t n_stop_ids, upg_error *err);
UPG_API void upg_vocabulary_free(upg_vocabulary *vocabulary); /* NULL is allowed */

typedef enum upg_grammar_kind {
    UPG_GRAMMAR_JSON_SCHEMA = 0, /* a schema's JSON text; "true" is any JSON value, and
                                    {"type": "object"} what the OpenAI API calls JSON mode */
    UPG_GRAMMAR_REGEX = 1,       /* an ECMAScript pattern that the whole text matches */
    UPG_GRAMMAR_GBNF = 2         /* the grammars of llama.cpp; the text is what "root" derives */
} upg_grammar_kind;

typedef enum upg_whitespace {
    UPG_WHITESPACE_FLEXIBLE = 0, /* between the tokens of JSON nothing, a space, or a line end with
                                    up to 40 spaces or 10 tabs */
    UPG_WHITESPACE_COMPACT = 1   /* none */
} upg_whitespace;

typedef struct upg_grammar_options {
    size_t size;
    upg_whitespace whitespace; /* of JSON */
    size_t max_bytes;          /* of memory that the grammar and its texts may take; 0: 256 MiB */
} upg_grammar_options;

UPG_API void upg_grammar_options_defaults(upg_grammar_options *options);

/* Compile text[n_bytes].  options NULL means the defaults.
 * UPG_ERR_FORMAT if the text is not of its kind, UPG_ERR_UNSUPPORTED if it asks for something that
 * cannot be kept exactly (the message names the keyword and its JSON pointer, or the place in the
 * pattern or grammar), or for a form that no text has, or for more than the limits;
 * UPG_ERR_ARGUMENT; UPG_ERR_MEMORY. */
UPG_API upg_status upg_grammar_new(upg_grammar **grammar, upg_vocabulary *vocabulary,
                                   upg_grammar_kind kind, const char *text, size_t n_bytes,
                                   const upg_grammar_options *options, upg_error *err);
UPG_API void upg_grammar_free(upg_grammar *grammar); /* NULL is allowed */

/* A text at its beginning.  The caller owns it. */
UPG_API upg_status upg_constraint_new(upg_constraint **constraint, upg_grammar *grammar,
                                      upg_error *err);
UPG_API void upg_constraint_free(upg_constraint *constraint); /* NULL is allowed */

/* A copy that goes its own way from here. */
UPG_API upg_status upg_constraint_fork(upg_constraint **copy, const upg_constraint *constraint,
                                       upg_error *err);

/* 32-bit words of a mask: a bit for each id of the tokenizer. */
UPG_API size_t upg_constraint_n_words(const upg_constraint *constraint);

/* The tokens that may come next: bit id % 32 of bits[id / 32] is 1 for these and 0 for all others.
 * Stop ids are among them exactly when the text may end here.
 *   bits     [n_words]; words beyond upg_constraint_n_words() are set to 0, fewer are an error
 * UPG_ERR_ARGUMENT; UPG_ERR_UNSUPPORTED when the text has driven the grammar beyond its limits;
 * UPG_ERR_MEMORY. */
UPG_API upg_status upg_constraint_mask(upg_constraint *constraint, uint32_t *bits, size_t n_words,
                                       upg_error *err);

/* The same for a text that has room for n_left more tokens, the next one included (a final stop id
 * does not count): tokens behind which it could not be completed any more are left out, so that it
 * ends in time whatever is drawn.  Where the room is not enough in any case, and for n_left 0, the
 * mask is that of upg_constraint_mask(). */
UPG_API upg_status upg_constraint_mask_within(upg_constraint *constraint, size_t n_left,
                                              uint32_t *bits, size_t n_words, upg_error *err);

/* How many tokens are enough to complete the text from here, stop id not counted: those of a shortest
 * text.  *n_tokens is SIZE_MAX where it is not known.  UPG_ERR_MEMORY, UPG_ERR_UNSUPPORTED. */
UPG_API upg_status upg_constraint_n_needed(upg_constraint *constraint, size_t *n_tokens,
                                           upg_error *err);

/* Go on by one token.  A stop id ends the text; nothing may follow it.
 * UPG_ERR_ARGUMENT if the token may not come next: the constraint is as before. */
UPG_API upg_status upg_constraint_accept(upg_constraint *constraint, int32_t id, upg_error *err);

/* Go on by text[n_bytes], whatever tokens it has; counts as one token for a rollback.
 * UPG_ERR_ARGUMENT, naming the byte, if it may not come next: the constraint is as before. */
UPG_API upg_status upg_constraint_accept_text(upg_constraint *constraint, const char *text,
                                              size_t n_bytes, upg_error *err);

/* Take the last n_tokens back.  UPG_ERR_ARGUMENT if there are fewer. */
UPG_API upg_status upg_constraint_rollback(upg_constraint *constraint, size_t n_tokens,
                                           upg_error *err);

/* Tokens accepted so far. */
UPG_API size_t upg_constraint_n_tokens(const upg_constraint *constraint);

/* 1 if the text may end here, 2 if it must (nothing but a stop id can follow, or one has), else 0. */
UPG_API int upg_constraint_at_end(const upg_constraint *constraint);

/* ---- Sampling and generation
 * ------------------------------------------------------------------------------ */

typedef struct upg_logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY bans the token */
} upg_logit_bias;

/* How the next token is chosen.  Order: bias, penalties, temperature, top-k, top-p, min-p, draw. */
typedef struct upg_sampling {
    size_t size;
    float temperature;        /* >= 0; 0 is greedy: the highest logit, the lowest id when equal */
    int32_t top_k;            /* 0: off */
    float top_p;              /* 0 < p <= 1; 1: off */
    float min_p;              /* 0 .. 1; 0: off */
    float repetition_penalty; /* > 0; 1: off; Keskar et al. 2019, section 4.1; over prompt and
                                 answer */
    float presence_penalty;   /* -2 .. 2, as the OpenAI API defines it; over the answer only */
    float frequency_penalty;  /* -2 .. 2 */
    uint64_t seed;            /* same seed, same text */
    const upg_logit_bias
        *logit_bias; /* [n_logit_bias], borrowed for as long as the sampler lives */
    size_t n_logit_bias;
} upg_sampling;

UPG_API void
upg_sampling_defaults(upg_sampling *sampling); /* temperature 0.7, top_p 0.9, the rest off */

typedef enum upg_finish {
    UPG_FINISH_STOP = 0,
    UPG_FINISH_LENGTH = 1,
    UPG_FINISH_CANCELLED = 2,
    UPG_FINISH_FAILED = 3 /* of a scheduler's request */
} upg_finish;

/* Called for each piece of new text (whole UTF-8 characters; never part of a stop string).
 * Return 0 to go on, anything else to stop generating (finish CANCELLED, status UPG_OK). */
typedef int (*upg_text_fn)(void *context, const char *text, size_t n_bytes);

typedef struct upg_generate_options {
    size_t size;
    upg_sampling sampling;
    size_t max_tokens;       /* of the answer; 0: until the context is full */
    const char *const *stop; /* [n_stop] C strings: the answer ends before the first of them */
    size_t n_stop;
    int ignore_stop_ids; /* 1: go on after end-of-text tokens (for measurements) */
    upg_text_fn on_text; /* may be NULL */
    void *on_text_context;
    upg_progress_fn progress; /* of the prompt; may be NULL */
    void *progress_context;
    upg_constraint
        *constraint; /* the answer keeps this form; it is borrowed, has seen nothing of the
                                   answer yet, and follows it; NULL: any text */
} upg_generate_options;

UPG_API void upg_generate_options_defaults(upg_generate_options *options);

/* What came out.  Free with upg_generation_clear(). */
typedef struct upg_generation {
    char *text; /* C string, n_text_bytes long */
    size_t n_text_bytes;
    upg_tokens ids; /* the tokens generated, a final stop token not included */
    upg_finish finish;
    size_t n_prompt_tokens;
    double prompt_seconds, generation_seconds;
} upg_generation;

UPG_API void upg_generation_clear(upg_generation *generation);

/* Append prompt ids to the sequence and generate.  The sequence afterwards holds prompt and answer
 * (without a final stop token).  When the context is full the answer ends there: UPG_OK and finish
 * LENGTH, as after max_tokens.  generation starts from {0}; after a failure it holds what came before.
 *
 * Statuses of upg_sequence_append() for the prompt (UPG_ERR_CONTEXT: the prompt alone does not fit,
 * nothing was generated), UPG_ERR_ARGUMENT for options, UPG_ERR_CANCELLED, UPG_ERR_MEMORY. */
UPG_API upg_status upg_generate(upg_sequence *sequence, const int32_t *prompt, size_t n_prompt,
                                const upg_generate_options *options, upg_generation *generation,
                                upg_error *err);

/* ---- Scheduler: many requests at once
 * --------------------------------------------------------------------------------------------- */

/* A scheduler owns an engine and one thread.  Requests may be submitted and cancelled from any
 * thread; what comes of them is told to callbacks from the scheduler's thread.  Each step of the
 * model computes the next token of every running answer together with a part of the prompts that
 * wait, so a long prompt delays running answers by one part at most.
 *
 * A request gives the same tokens alone, beside others, after a hit in the prefix cache, with and
 * without speculation, and whatever the number of threads (same model, kernel tier and cache type).
 *
 *     upg_scheduler_new(&scheduler, model, NULL, &err);
 *     upg_request_defaults(&request);
 *     request.ids = tokens.ids;
 *     request.n_ids = tokens.n;
 *     request.on_event = print_text;
 *     upg_scheduler_submit(scheduler, &request, &number, &err);
 *     ...
 *     upg_scheduler_drain(scheduler, 30);
 *     upg_scheduler_free(scheduler);
 */
typedef struct upg_scheduler upg_scheduler;

/* Decides which tokens may come next in an answer of a certain form.  upg_constraint_filter() makes
 * one of a constraint; a program may have its own.  The functions are called from the scheduler's
 * thread, in order: mask, accept, mask, accept, ...; they must not block.  A failure ends the request
 * with its status and message.
 *
 *   mask    fill allowed[n_words], n_words = (n_vocab + 31) / 32: bit id % 32 of word id / 32 is 1 if
 *           the token may come next; stop ids (upg_model_info.stop_ids) where the answer may end.
 *           n_left: tokens that the answer may still have, this one included, so that the form can be
 *           closed in time.  If no token is allowed the answer ends (finish STOP).  Once all tokens
 *           are used up it is called with n_left 0: if none but stop ids could follow, the answer is
 *           complete (finish STOP), otherwise it was cut (finish LENGTH).
 *   accept  the token that was drawn, allowed by the mask before it; also called for a stop id
 *   free    called once, after the last call; may be NULL */
typedef struct upg_token_filter {
    void *context;
    upg_status (*mask)(void *context, size_t n_left, uint32_t *allowed, size_t n_words,
                       upg_error *err);
    upg_status (*accept)(void *context, int32_t id, upg_error *err);
    void (*free)(void *context);
} upg_token_filter;

/* The filter of a constraint that has seen nothing of the answer yet: it follows the answer, and is
 * freed with the request. */
UPG_API upg_token_filter upg_constraint_filter(upg_constraint *constraint);

typedef struct upg_logprob {
    int32_t id;
    float logprob; /* natural logarithm of the model's own probability: before bias, penalties,
                      temperature and masks */
} upg_logprob;

/* A token of an answer. */
typedef struct upg_event_token {
    int32_t id;
    float logprob;          /* as in upg_logprob; 0 if not asked for */
    const upg_logprob *top; /* [n_top] the most probable tokens, in order; NULL if not asked for */
    size_t n_top;
} upg_event_token;

/* What a request took. */
typedef struct upg_usage {
    size_t n_prompt_tokens;
    size_t n_cached_tokens; /* of these, found in the prefix cache */
    size_t n_tokens;        /* of the answer, a final stop token not included */
    size_t n_drafted;       /* tokens that speculation proposed, and how many were right */
    size_t n_accepted;
    size_t n_preemptions;      /* times that its cache blocks were given to older requests */
    double wait_seconds;       /* from submission to the first part of the prompt */
    double prompt_seconds;     /* from there to the first token of the answer */
    double generation_seconds; /* from there to the end */
} upg_usage;

typedef enum upg_event_type {
    UPG_EVENT_TOKENS = 0, /* the answer goes on */
    UPG_EVENT_FINISH = 1  /* the request's last event; there is exactly one */
} upg_event_type;

/* All pointers are borrowed for the call. */
typedef struct upg_event {
    upg_event_type type;
    uint64_t number; /* the request's */

    /* TOKENS: what was drawn since the last event (usually one token; 0 when only held text is given
     * out), and text that has become certain: whole UTF-8 characters, never part of a stop string.
     * Text may lag behind tokens while a stop string or a character is undecided. */
    const char *text;
    size_t n_text_bytes;
    const upg_event_token *tokens; /* [n_tokens] */
    size_t n_tokens;

    /* FINISH */
    upg_status status;   /* UPG_OK, or why the request failed (finish is then FAILED) */
    const char *message; /* C string; "" if it did not fail */
    upg_finish finish;
    const char *stop;       /* the stop string that ended the answer; NULL: none did */
    const float *embedding; /* [n_embedding], length 1; NULL for other kinds */
    size_t n_embedding;
    upg_usage usage;
} upg_event;

/* Called from the scheduler's thread; must not block, for all requests wait meanwhile.  May submit
 * and cancel requests and read statistics, but not drain or free the scheduler.  Return 0 to go on,
 * anything else to cancel the request: FINISH still follows. */
typedef int (*upg_event_fn)(void *context, const upg_event *event);

typedef enum upg_request_kind {
    UPG_REQUEST_GENERATE = 0,
    UPG_REQUEST_EMBED_MEAN = 1, /* last hidden states (after the final norm), averaged over all
                                   tokens of the prompt, scaled to length 1 */
    UPG_REQUEST_EMBED_LAST = 2  /* that of the last token, scaled to length 1 */
} upg_request_kind;

typedef struct upg_request {
    size_t size;
    upg_request_kind kind;
    const int32_t *ids; /* [n_ids] the prompt, at least one; copied */
    size_t n_ids;
    upg_sampling sampling;   /* copied with its logit_bias */
    size_t max_tokens;       /* of the answer; 0: until the context is full */
    const char *const *stop; /* [n_stop] C strings, copied: the answer ends before the first */
    size_t n_stop;
    int ignore_stop_ids;     /* 1: go on after end-of-text tokens (for measurements) */
    int logprobs;            /* 1: log-probabilities of the answer's tokens */
    size_t n_top_logprobs;   /* 0 .. UPG_MAX_TOP_LOGPROBS; needs logprobs */
    upg_token_filter filter; /* copied; taken over when submission succeeds; mask NULL: none */
    uint64_t client;         /* clients take turns; all requests of one have the same number */
    int priority;            /* greater goes first */
    int no_speculation;      /* 1: off for this request */
    int no_prefix_cache;     /* 1: neither looks into the prefix cache nor adds to it */
    upg_event_fn on_event;   /* must not be NULL */
    void *on_event_context;
} upg_request;

#define UPG_MAX_TOP_LOGPROBS 20

UPG_API void upg_request_defaults(upg_request *request); /* sampling: upg_sampling_defaults() */

typedef struct upg_scheduler_options {
    size_t size;
    upg_engine_options engine; /* cache_tokens 0: four times the context */
    size_t max_running;        /* requests in the model at a time, 1 .. 128; 0: 64 */
    size_t max_waiting;        /* requests that wait; 0: 256 */
    size_t chunk_tokens;  /* prompt tokens of a step while answers are running, 1 .. 256; 0: as many
                             as take about a tenth of a second */
    int no_speculation;   /* 1: off; otherwise used for each answer while it measures faster */
    int no_prefix_cache;  /* 1: off */
    int always_speculate; /* 1: with the longest drafts, measured or not (for tests) */
} upg_scheduler_options;

UPG_API void upg_scheduler_options_defaults(upg_scheduler_options *options);

/* Make a scheduler and start its thread.  It borrows the model, which must outlive it.  All memory
 * for caches is fixed here; a request holds besides its ids and, while it runs, 9 bytes a token of
 * the vocabulary.  UPG_ERR_ARGUMENT, UPG_ERR_MEMORY, UPG_ERR_UNSUPPORTED. */
UPG_API upg_status upg_scheduler_new(upg_scheduler **scheduler, const upg_model *model,
                                     const upg_scheduler_options *options, upg_error *err);

/* Cancels what is left (each FINISH is told), stops the thread, frees all.  NULL is allowed. */
UPG_API void upg_scheduler_free(upg_scheduler *scheduler);

/* The engine's tier, as upg_engine_tier(). */
UPG_API const char *upg_scheduler_tier(const upg_scheduler *scheduler);

/* Most tokens of prompt and answer together. */
UPG_API size_t upg_scheduler_context(const upg_scheduler *scheduler);

/* Submit a request.  Returns at once; events follow, the first possibly before the return.
 *   number  receives the request's number, never used again; may be NULL
 * UPG_ERR_BUSY if max_waiting requests wait already or the scheduler is draining; UPG_ERR_CONTEXT if
 * the prompt, or the prompt and max_tokens, are longer than the context (the message has both
 * numbers); UPG_ERR_ARGUMENT names the field that is out of range; UPG_ERR_MEMORY.  After a failure
 * no event is told.  Any thread. */
UPG_API upg_status upg_scheduler_submit(upg_scheduler *scheduler, const upg_request *request,
                                        uint64_t *number, upg_error *err);

/* Cancel a request: its blocks are free after the step that is being computed, and FINISH (CANCELLED)
 * is told.  Numbers of finished requests are passed over.  Any thread, returns at once. */
UPG_API void upg_scheduler_cancel(upg_scheduler *scheduler, uint64_t number);

/* Refuse new requests from now on and wait until all have finished; what has not after `seconds` is
 * cancelled.  Not from a callback. */
UPG_API void upg_scheduler_drain(upg_scheduler *scheduler, double seconds);

/* Save the prefix cache in a file, and take one in: of the same model, cache type and kernel tier,
 * block by block as far as checksums are right and empty blocks are left.  Only while no request is
 * there: right after upg_scheduler_new(), or after upg_scheduler_drain(); UPG_ERR_BUSY otherwise.
 * Other statuses as upg_sequence_save() and upg_sequence_load(); after a failure to load the cache is
 * as before. */
UPG_API upg_status upg_scheduler_save_cache(upg_scheduler *scheduler, const char *path,
                                            upg_error *err);
UPG_API upg_status upg_scheduler_load_cache(upg_scheduler *scheduler, const char *path,
                                            upg_error *err);

/* Times in seconds: bucket i counts values up to 0.0001 * 2^i that did not fit bucket i - 1, the last
 * one all others. */
enum { UPG_HISTOGRAM_BUCKETS = 24 };
typedef struct upg_histogram {
    uint64_t count[UPG_HISTOGRAM_BUCKETS];
    double sum;
} upg_histogram;

/* The upper bound of bucket i in seconds; infinity for the last. */
UPG_API double upg_histogram_bound(size_t i);

/* Counters count from the start. */
typedef struct upg_scheduler_stats {
    size_t size;
    size_t n_waiting, n_running;              /* requests, now */
    size_t n_blocks, n_blocks_used;           /* of the KV cache; used by running requests, now */
    size_t n_blocks_cached;                   /* held for the prefix cache alone, now */
    size_t block_tokens;                      /* tokens of a block */
    uint64_t n_bytes;                         /* of caches and scratch */
    uint64_t n_submitted, n_refused;          /* refused: UPG_ERR_BUSY */
    uint64_t n_finished[4];                   /* by upg_finish */
    uint64_t n_prompt_tokens;                 /* of admitted requests */
    uint64_t n_cached_tokens;                 /* of these, found in the prefix cache */
    uint64_t n_tokens;                        /* of answers */
    uint64_t n_drafted, n_accepted;           /* speculation */
    uint64_t n_preemptions, n_blocks_evicted; /* evicted from the prefix cache */
    uint64_t n_steps, n_rows;                 /* steps of the model, rows computed in them */
    uint64_t n_batch;                         /* sum over steps of the requests in them */
    double step_age_seconds;                  /* since the last step ended; 0 while idle */
    upg_histogram wait, first_token, between_tokens, request, step; /* seconds; first_token: from
                                                                       submission */
} upg_scheduler_stats;

/* A snapshot; set stats->size first.  Any thread; never waits for a step. */
UPG_API void upg_scheduler_get_stats(const upg_scheduler *scheduler, upg_scheduler_stats *stats);

/* ---- Evaluation
 * ------------------------------------------------------------------------------------------- */

typedef struct upg_evaluate_options {
    size_t size;
    size_t context;    /* input tokens of a window; 0: 512 */
    size_t stride;     /* 0: context / 2 */
    size_t max_tokens; /* most predictions; 0: all */
    int parse_special; /* special tokens in the text are parsed */
    upg_progress_fn progress;
    void *progress_context;
} upg_evaluate_options;

UPG_API void upg_evaluate_options_defaults(upg_evaluate_options *options);

/* All in nats a token.  The fields from ref_nll on are 0 without a reference engine. */
typedef struct upg_evaluation {
    size_t n_tokens, context, stride; /* n_tokens: predictions */
    double nll, ppl, ppl_stderr;
    double ref_nll, ref_ppl, kld_mean, kld_median, kld_p99, top1_agreement, retention;
} upg_evaluation;

/* Perplexity of a text; with `reference` (an engine of another model with the same vocabulary; may
 * be NULL) also the Kullback-Leibler divergence KL(reference || model) of the next-token
 * distributions. Windows of `context` input tokens start every `stride` tokens; each of the last
 * `stride` positions of a window (in the first window, every position) predicts the token that
 * follows it in the text, so every token but the first is predicted exactly once; nothing is
 * prepended. */
UPG_API upg_status upg_evaluate(upg_engine *engine, upg_engine *reference, const char *text,
                                size_t n_bytes, const upg_evaluate_options *options,
                                upg_evaluation *result, upg_error *err);

/* ---- Compression ------------------------------------------------------------------------------------------ */

#define UPG_TUNE_AUTO SIZE_MAX

typedef struct upg_compress_options {
    size_t size;
    double ratio;           /* whole file against float32; 0: one of the next two decides */
    double bits_per_weight; /* whole file over all weights; 0: not given */
    uint64_t max_bytes;     /* of the file; 0: not given.  Nothing given: ratio 10 */
    const char *effort;     /* "fast", "normal" (NULL), "best" */
    const char *const
        *calibration; /* [n_calibration] text files; none: the text that comes with upg */
    size_t n_calibration;
    size_t calibration_tokens; /* 0: by effort and the model's size */
    size_t tune_steps;         /* of the last tuning of scales; UPG_TUNE_AUTO: by effort and size */
    uint64_t seed;             /* same source, options and seed: the same file, byte for byte */
    size_t n_threads;          /* 0: one a physical core; does not change the file */
    upg_text_fn on_message;    /* lines for people: the plan, what was measured; may be NULL */
    void *message_context;
    upg_progress_fn progress; /* may be NULL */
    void *progress_context;
} upg_compress_options;

UPG_API void upg_compress_options_defaults(upg_compress_options *options);

/* Compress a model into a .upg file.
 *
 *   source       as for upg_model_open(); a model that is not compressed yet
 *   destination  the file to make; it appears under this name when it is complete and checked
 *   report       if not NULL, receives a JSON object as a C string that the caller frees with
 *                upg_free(): sizes, seconds, bits and errors of each matrix, measured quality
 *
 * What is done is kept in the folder DESTINATION.work: when the call is interrupted in any way, the
 * same call goes on there and makes the same file.  One layer is held in memory at a time; tuning
 * (small models) holds the codes of all.  Method: docs/codec.md and docs/quality.md.
 * Statuses: those of upg_model_open(), UPG_ERR_ARGUMENT (size too small, text too short),
 * UPG_ERR_SPACE, UPG_ERR_CANCELLED. */
UPG_API upg_status upg_compress(const char *source, const char *destination,
                                const upg_compress_options *options, char **report, upg_error *err);

/* ---- Export ----------------------------------------------------------------------------------------------- */

typedef enum upg_export_format {
    UPG_EXPORT_HF = 0,  /* a directory as Hugging Face has them: safetensors, config, tokenizer */
    UPG_EXPORT_GGUF = 1 /* one file */
} upg_export_format;

typedef struct upg_export_options {
    size_t size;
    upg_export_format format;
    size_t n_threads; /* 0: one a physical core; does not change what is written */
    upg_progress_fn progress;
    void *progress_context;
} upg_export_options;

UPG_API void upg_export_options_defaults(upg_export_options *options);

/* Write any model for other programs: matrices as bfloat16 (rounded to nearest, ties to even), norms
 * as bfloat16 or float32.
 *
 *   source       as for upg_model_open()
 *   destination  a directory or file; it appears under this name when it is complete.  A directory
 *                must not be there yet.
 *
 * Statuses: those of upg_model_open(), UPG_ERR_UNSUPPORTED (the format cannot say what the model
 * is), UPG_ERR_SPACE. */
UPG_API upg_status upg_export(const char *source, const char *destination,
                              const upg_export_options *options, upg_error *err);

/* ---- Synthetic models ------------------------------------------------------------------------------------- */

typedef enum upg_synth_format {
    UPG_SYNTH_UPG = 0, /* a .upg file of random codes */
    UPG_SYNTH_HF = 1   /* a Hugging Face directory in bfloat16 */
} upg_synth_format;

typedef struct upg_synth_options {
    size_t size;
    const char *shape; /* "phi-4" (NULL), "phi-4-reasoning", "phi-4-mini", "small", "tiny" */
    upg_synth_format format;
    size_t n_layers;        /* 0: as many as the shape has */
    double bits_per_weight; /* of the whole .upg file, at most; 0: 3.2, a tenth of float32 */
    uint64_t seed;
    size_t n_threads; /* 0: one a physical core; does not change what is written */
    upg_progress_fn progress;
    void *progress_context;
} upg_synth_options;

UPG_API void upg_synth_options_defaults(upg_synth_options *options);

/* Write a model of a known shape with random weights and a tokenizer that knows single bytes: to
 * measure speed and memory at full size without a download.  It says nothing sensible.
 *
 * In a directory, weights are Gaussian with the deviation of a trained model's layer, and a few
 * columns and rows stand out, as in trained ones.  In a .upg file all codes are random, which is
 * what codes of real weights look like; bits go to the head and to q, k, v first.
 * UPG_ERR_ARGUMENT for a shape that is not known or a size that is too small; UPG_ERR_SPACE;
 * UPG_ERR_CANCELLED. */
UPG_API upg_status upg_synth(const char *destination, const upg_synth_options *options,
                             upg_error *err);

/* What upg_synth() would write as a .upg file, without weights: for upg_engine_plan() and for
 * looking at; upg_engine_new() refuses it.  n_file_bytes is exact.  The caller owns the model. */
UPG_API upg_status upg_model_outline(upg_model **model, const upg_synth_options *options,
                                     upg_error *err);

/* ---- The machine's limits ----------------------------------------------------------------------------------- */

typedef struct upg_machine upg_machine;

/* Prepare to measure how fast this machine can read memory and multiply, so that the speed of a
 * model can stand beside its limit.
 *
 *   machine    the caller owns it and frees it with upg_machine_free()
 *   n_threads  0: one a physical core
 *   cpu_tier   as upg_engine_options.cpu_tier
 *
 * It holds upg_machine_n_bytes() of memory, more than the caches.  UPG_ERR_MEMORY;
 * UPG_ERR_ARGUMENT for a tier that is none. */
UPG_API upg_status upg_machine_new(upg_machine **machine, size_t n_threads, const char *cpu_tier,
                                   upg_error *err);
UPG_API void upg_machine_free(upg_machine *machine); /* NULL is allowed */

/* As upg_engine_tier(); lives as long as the machine. */
UPG_API const char *upg_machine_tier(const upg_machine *machine);
UPG_API size_t upg_machine_n_threads(const upg_machine *machine);
UPG_API uint64_t upg_machine_n_bytes(const upg_machine *machine);

/* Measure now, all threads together: 10^9 bytes read a second, and 10^12 int8 operations a second by
 * the tier's instructions (a product and its addition are two).  Each takes some 20 ms; what else
 * the machine does shows in them. */
UPG_API double upg_machine_read_gb_per_s(upg_machine *machine);
UPG_API double upg_machine_int8_tops(upg_machine *machine);

/* What was found out about a kernel of a tier.  Strings live for the call. */
typedef struct upg_kernel_finding {
    const char *tier, *kernel;
    const char *test;    /* what was timed, "k=3, 1 token"; NULL: the comparison with scalar */
    const char *failure; /* of a comparison: the first difference; NULL: there is none */
    double rate;         /* of what was timed: "GB/s" of weights or codes, "TOPS", "us" */
    const char *unit;    /* NULL in a comparison */
    double fraction;     /* of the limit, measured right before; NaN: none */
    const char *limit;   /* "bandwidth", "int8", "none" */
} upg_kernel_finding;

/* Compare every kernel of every tier that this machine has and `machine` allows with its plain form,
 * on random and extreme data and odd shapes between guard bytes, and time it.
 *
 *   n_reps      each time is the median of so many; 0: compare only
 *   seed        of the data
 *   on_finding  called for each finding; returns 0 to go on
 *
 * A kernel that a tier takes from a lower one is not looked at again.  UPG_ERR_MEMORY,
 * UPG_ERR_CANCELLED; differences are findings, not failures. */
UPG_API upg_status upg_measure_kernels(upg_machine *machine, size_t n_reps, uint64_t seed,
                                       int (*on_finding)(void *context,
                                                         const upg_kernel_finding *finding),
                                       void *context, upg_error *err);

#ifdef __cplusplus
}
#endif
#endif
