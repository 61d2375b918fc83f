/* options.c -- every option of every command: name, range, default, explanation. */
#include "cli/options.h"

#include <stddef.h>

#define FIELD(name) offsetof(struct settings, name)
#define GROUP(heading, list)                                                                       \
    {                                                                                              \
        heading, list, sizeof(list) / sizeof *(list)                                               \
    }
#define MAX_TOKENS 1e8 /* longer than any context */

#define HELP_OPTION                                                                                \
    {                                                                                              \
        .name = "help", .letter = 'h', .kind = OPTION_FLAG, .field = FIELD(help), .on = 1,         \
        .help = "show this text"                                                                   \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        .name = "json", .kind = OPTION_FLAG, .field = FIELD(json), .on = 1,                        \
        .help = "write one JSON document to standard output, and nothing else there"               \
    }
#define SYSTEM_OPTION(text)                                                                        \
    {                                                                                              \
        .name = "system", .letter = 's', .kind = OPTION_TEXT, .field = FIELD(system),              \
        .argument = "TEXT", .help = (text)                                                         \
    }
#define THREADS_OPTION                                                                             \
    {                                                                                              \
        .name = "threads", .letter = 't', .kind = OPTION_COUNT, .field = FIELD(n_threads),         \
        .argument = "N", .fallback = "0", .max = 4096, .environment = "UPG_THREADS",               \
        .help = "processor cores to use; 0: one thread for each physical core"                     \
    }
#define PARSE_SPECIAL_OPTION                                                                       \
    {                                                                                              \
        .name = "parse-special", .kind = OPTION_FLAG, .field = FIELD(parse_special), .on = 1,      \
        .help = "what looks like a special token in the text becomes one; otherwise all of it is " \
                "plain text"                                                                       \
    }

static const struct option_spec help_options[] = {HELP_OPTION};
const struct option_group help_group = GROUP("Options", help_options);

static const struct option_spec json_options[] = {JSON_OPTION, HELP_OPTION};
const struct option_group json_group = GROUP("Output", json_options);

static const struct choice log_levels[] = {
    {"quiet", LOG_QUIET}, {"normal", LOG_NORMAL}, {"verbose", LOG_VERBOSE}, {NULL, 0}};

static const struct option_spec output_options[] = {
    JSON_OPTION,
    {.name = "quiet",
     .letter = 'q',
     .kind = OPTION_FLAG,
     .field = FIELD(log_level),
     .on = LOG_QUIET,
     .help = "no statistics, notes and progress bars; errors are still shown"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPTION_FLAG,
     .field = FIELD(log_level),
     .on = LOG_VERBOSE,
     .help = "also say what is opened and which processor instructions are used"},
    {.name = "log",
     .kind = OPTION_CHOICE,
     .field = FIELD(log_level),
     .argument = "LEVEL",
     .fallback = "normal",
     .choices = log_levels,
     .environment = "UPG_LOG",
     .help = "how much is written to standard error"},
    HELP_OPTION};
const struct option_group output_group = GROUP("Output", output_options);

static const struct choice compute_kinds[] = {
    {"fast", UPG_COMPUTE_FAST}, {"reference", UPG_COMPUTE_REFERENCE}, {NULL, 0}};

static const struct option_spec machine_options[] = {
    THREADS_OPTION,
    {.name = "device",
     .kind = OPTION_TEXT,
     .field = FIELD(device),
     .argument = "DEVICE",
     .fallback = "auto",
     .help = "where to compute: 'cpu'; 'gpu', the best with a Vulkan driver; 'gpu:N', number N of "
             "the driver's list; 'auto', a GPU if there is one, the model is large enough to be "
             "worth it, and a layer fits"},
    {.name = "gpu-layers",
     .kind = OPTION_AUTO,
     .field = FIELD(gpu_layers),
     .argument = "N",
     .fallback = "auto",
     .max = 1e6,
     .help = "with a GPU: compute the last N layers of the model there and the others on the "
             "processor; 'auto', as many as its free memory holds"},
    {.name = "compute",
     .kind = OPTION_CHOICE,
     .field = FIELD(compute),
     .argument = "HOW",
     .fallback = "fast",
     .choices = compute_kinds,
     .help = "'reference' is the plain scalar form that the fast one is tested against: slow, in "
             "float32 throughout"}};
const struct option_group machine_group = GROUP("Machine", machine_options);

static const struct choice kv_types[] = {
    {"f16", UPG_KV_F16}, {"q8", UPG_KV_Q8}, {"q4", UPG_KV_Q4}, {"f32", UPG_KV_F32}, {NULL, 0}};

#define KV_OPTION(type)                                                                            \
    {                                                                                              \
        .name = "kv", .kind = OPTION_CHOICE, .field = FIELD(kv_type), .argument = "TYPE",          \
        .fallback = type, .choices = kv_types,                                                     \
        .help =                                                                                    \
            "how keys and values of earlier tokens are kept; q8 takes half of f16's memory, q4 "   \
            "a quarter, and both a little accuracy"                                                \
    }
#define CTX_OPTION                                                                                 \
    {                                                                                              \
        .name = "ctx", .letter = 'c', .kind = OPTION_COUNT, .field = FIELD(context),               \
        .argument = "N", .fallback = "0", .max = MAX_TOKENS,                                       \
        .help =                                                                                    \
            "tokens that prompt and answer may have together; 0: what the model was made for, "    \
            "at most 4096"                                                                         \
    }

static const struct option_spec cache_options[] = {CTX_OPTION, KV_OPTION("f16")};
const struct option_group cache_group = GROUP("Memory", cache_options);

/* Where numbers are compared with other programs', nothing is rounded unless it is asked for. */
static const struct option_spec exact_cache_options[] = {CTX_OPTION, KV_OPTION("f32")};
const struct option_group exact_cache_group = GROUP("Memory", exact_cache_options);

static const struct option_spec text_options[] = {
    {.name = "prompt",
     .letter = 'p',
     .kind = OPTION_TEXT,
     .field = FIELD(prompt),
     .argument = "TEXT",
     .help = "the text, as it stands"},
    {.name = "file",
     .letter = 'f',
     .kind = OPTION_FILE,
     .field = FIELD(prompt_file),
     .argument = "FILE",
     .help = "read the text from a file; - is standard input"},
    PARSE_SPECIAL_OPTION};
const struct option_group text_group = GROUP("Text", text_options);

static const struct option_spec run_options[] = {
    {.name = "chat",
     .kind = OPTION_FLAG,
     .field = FIELD(use_template),
     .on = TEMPLATE_ON,
     .help = "take the text as a question to an assistant: put it into the model's chat template"},
    {.name = "no-chat",
     .kind = OPTION_FLAG,
     .field = FIELD(use_template),
     .on = TEMPLATE_OFF,
     .help = "continue the text as it is; this is the default"},
    SYSTEM_OPTION("with --chat, and switching it on: who the assistant is and how it should "
                  "behave")};
const struct option_group run_group = GROUP("Chat template", run_options);

static const struct option_spec chat_options[] = {
    SYSTEM_OPTION("who the assistant is and how it should behave")};
const struct option_group chat_group = GROUP("Conversation", chat_options);

static const struct option_spec sampling_options[] = {
    {.name = "max-tokens",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .field = FIELD(max_tokens),
     .argument = "N",
     .fallback = "0",
     .max = MAX_TOKENS,
     .help = "most tokens of an answer (a token is about three quarters of an English word); 0: "
             "until the model ends it or the context is full"},
    {.name = "temperature",
     .letter = 'T',
     .kind = OPTION_REAL,
     .field = FIELD(temperature),
     .argument = "T",
     .fallback = "0.7",
     .min = 0,
     .max = 100,
     .help = "0 always takes the most probable token; higher values are more varied"},
    {.name = "greedy",
     .letter = 'g',
     .kind = OPTION_FLAG,
     .field = FIELD(greedy),
     .on = 1,
     .help = "the same as --temperature 0"},
    {.name = "top-k",
     .kind = OPTION_COUNT,
     .field = FIELD(top_k),
     .argument = "K",
     .fallback = "0",
     .max = 1e6,
     .help = "draw only from the K most probable tokens; 0: from all"},
    {.name = "top-p",
     .kind = OPTION_REAL,
     .field = FIELD(top_p),
     .argument = "P",
     .fallback = "0.9",
     .min = 1e-6,
     .max = 1,
     .help = "draw only from the most probable tokens that together have the probability P"},
    {.name = "min-p",
     .kind = OPTION_REAL,
     .field = FIELD(min_p),
     .argument = "P",
     .fallback = "0",
     .min = 0,
     .max = 1,
     .help = "draw only from tokens at least P times as probable as the most probable one"},
    {.name = "repetition-penalty",
     .kind = OPTION_REAL,
     .field = FIELD(repetition_penalty),
     .argument = "X",
     .fallback = "1",
     .min = 1e-3,
     .max = 1e3,
     .help = "above 1: make tokens that occurred already, in prompt or answer, less probable"},
    {.name = "presence-penalty",
     .kind = OPTION_REAL,
     .field = FIELD(presence_penalty),
     .argument = "X",
     .fallback = "0",
     .min = -2,
     .max = 2,
     .help = "subtract X from the logit of each token that the answer has already"},
    {.name = "frequency-penalty",
     .kind = OPTION_REAL,
     .field = FIELD(frequency_penalty),
     .argument = "X",
     .fallback = "0",
     .min = -2,
     .max = 2,
     .help = "subtract X from the logit of a token for each time that the answer has it"},
    {.name = "logit-bias",
     .kind = OPTION_BIASES,
     .field = FIELD(logit_bias),
     .argument = "ID=B",
     .help = "add B to the logit of a token; -inf bans it; may be repeated"},
    {.name = "stop",
     .kind = OPTION_TEXTS,
     .field = FIELD(stop),
     .argument = "TEXT",
     .help = "end the answer before this text; may be repeated"},
    {.name = "seed",
     .kind = OPTION_SEED,
     .field = FIELD(seed),
     .argument = "N",
     .fallback = "random",
     .max = 9007199254740991.0, /* 2^53 - 1: exact in JSON for everyone */
     .help = "the same seed gives the same text; the one that was used is shown at the end"}};
const struct option_group sampling_group = GROUP("Generation", sampling_options);

static const struct option_spec logits_options[] = {{.name = "ids",
                                                     .kind = OPTION_IDS,
                                                     .field = FIELD(ids),
                                                     .argument = "1,2,3",
                                                     .help = "token ids instead of a text"}};
const struct option_group logits_group = GROUP("Tokens", logits_options);

static const struct option_spec tokenize_options[] = {
    {.name = "decode",
     .letter = 'd',
     .kind = OPTION_FLAG,
     .field = FIELD(decode),
     .on = 1,
     .help = "the other way round: the text is a list of ids"},
    {.name = "jsonl",
     .kind = OPTION_FILE,
     .field = FIELD(jsonl_file),
     .argument = "FILE",
     .help = "answer each line of JSON with a line of JSON; - is standard input"}};
const struct option_group tokenize_group = GROUP("What to do", tokenize_options);

static const struct option_spec eval_options[] = {
    {.name = "ref",
     .kind = OPTION_FILE,
     .field = FIELD(reference_model),
     .argument = "MODEL2",
     .help = "also measure the distance to this model, which has the same vocabulary"},
    {.name = "ctx",
     .letter = 'c',
     .kind = OPTION_COUNT,
     .field = FIELD(context),
     .argument = "C",
     .fallback = "0",
     .max = MAX_TOKENS,
     .help = "input tokens of a window; 0: 512, or what the model was made for where that is less"},
    {.name = "stride",
     .kind = OPTION_COUNT,
     .field = FIELD(stride),
     .argument = "S",
     .fallback = "0",
     .max = MAX_TOKENS,
     .help = "tokens from one window to the next; 0: half a window"},
    {.name = "max-tokens",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .field = FIELD(max_tokens),
     .argument = "N",
     .fallback = "0",
     .max = MAX_TOKENS,
     .help = "most predictions in a file; 0: all"},
    PARSE_SPECIAL_OPTION,
    KV_OPTION("f16")};
const struct option_group eval_group = GROUP("Measurement", eval_options);

static const struct option_spec size_options[] = {
    {.name = "ratio",
     .kind = OPTION_REAL,
     .field = FIELD(ratio),
     .argument = "R",
     .min = 1,
     .max = 1000,
     .help = "the whole file is R times smaller than the weights in float32; without any of these "
             "three, 10"},
    {.name = "bpw",
     .kind = OPTION_REAL,
     .field = FIELD(bits_per_weight),
     .argument = "B",
     .min = 0.1,
     .max = 32,
     .help = "bits of the whole file for each weight"},
    {.name = "size",
     .kind = OPTION_SIZE,
     .field = FIELD(max_bytes),
     .argument = "BYTES",
     .min = 1,
     .max = 9007199254740992.0, /* 2^53: exact as a double */
     .help = "the whole file, like 5.4GiB, 12MB or 5400000000"}};
const struct option_group size_group = GROUP("Size, at most", size_options);

static const struct choice efforts[] = {
    {"fast", EFFORT_FAST}, {"normal", EFFORT_NORMAL}, {"best", EFFORT_BEST}, {NULL, 0}};

static const struct option_spec compress_options[] = {
    {.name = "calibration",
     .kind = OPTION_FILES,
     .field = FIELD(calibration),
     .argument = "FILE",
     .help = "text like the one that the model will see, instead of the one that comes with upg; "
             "may be repeated"},
    {.name = "effort",
     .kind = OPTION_CHOICE,
     .field = FIELD(effort),
     .argument = "LEVEL",
     .fallback = "normal",
     .choices = efforts,
     .help = "more effort: more time, and a model that is nearer to the original"},
    {.name = "tune-steps",
     .kind = OPTION_AUTO,
     .field = FIELD(tune_steps),
     .argument = "N",
     .fallback = "auto",
     .max = 1e6,
     .help = "steps of the final tuning of scales and norms; auto: by effort, and none for models "
             "of more than a billion weights"},
    {.name = "seed",
     .kind = OPTION_SEED,
     .field = FIELD(seed),
     .argument = "N",
     .fallback = "1",
     .max = 9007199254740991.0,
     .help = "the same source, options and seed give the same file, byte for byte"},
    THREADS_OPTION};
const struct option_group compress_group = GROUP("Work", compress_options);

static const struct choice export_formats[] = {
    {"hf", UPG_EXPORT_HF}, {"gguf", UPG_EXPORT_GGUF}, {NULL, 0}};

static const struct option_spec export_options[] = {
    {.name = "format",
     .kind = OPTION_CHOICE,
     .field = FIELD(format),
     .argument = "FORMAT",
     .fallback = "hf",
     .choices = export_formats,
     .help = "a directory for transformers and what reads the same, or a file for llama.cpp and "
             "what reads the same"},
    THREADS_OPTION};
const struct option_group export_group = GROUP("Export", export_options);

static const struct choice synth_formats[] = {
    {"upg", UPG_SYNTH_UPG}, {"hf", UPG_SYNTH_HF}, {NULL, 0}};

#define SHAPE_OPTION(default_shape, text)                                                          \
    {                                                                                              \
        .name = "shape", .kind = OPTION_TEXT, .field = FIELD(shape), .argument = "NAME",           \
        .fallback = default_shape, .help = text                                                    \
    }
#define SHAPES "phi-4, phi-4-reasoning, phi-4-mini, small or tiny"
#define LAYERS_OPTION                                                                              \
    {                                                                                              \
        .name = "layers", .kind = OPTION_COUNT, .field = FIELD(n_layers), .argument = "N",         \
        .fallback = "0", .max = 1024, .help = "so many layers; 0: as many as the shape has"        \
    }
#define BPW_OPTION                                                                                 \
    {                                                                                              \
        .name = "bpw", .kind = OPTION_REAL, .field = FIELD(bits_per_weight), .argument = "B",      \
        .fallback = "3.2", .min = 0.1, .max = 32,                                                  \
        .help = "bits of the whole .upg file for each weight, at most"                             \
    }

static const struct option_spec shape_options[] = {
    SHAPE_OPTION(NULL, "instead of a model, a .upg file of this shape: " SHAPES), LAYERS_OPTION,
    BPW_OPTION};
const struct option_group shape_group = GROUP("Shape", shape_options);

static const struct option_spec bench_options[] = {
    {.name = "pp",
     .kind = OPTION_COUNTS,
     .field = FIELD(prompts),
     .argument = "N,...",
     .fallback = "128,512",
     .max = 1e6,
     .help = "tests with prompts of so many tokens; 0: none"},
    {.name = "tg",
     .kind = OPTION_COUNTS,
     .field = FIELD(generations),
     .argument = "N,...",
     .fallback = "32",
     .max = 1e6,
     .help = "tests that generate so many tokens; 0: none"},
    {.name = "depth",
     .kind = OPTION_COUNTS,
     .field = FIELD(depths),
     .argument = "N,...",
     .fallback = "0,4096",
     .max = MAX_TOKENS,
     .help = "do so with so many tokens of context already there"},
    {.name = "reps",
     .kind = OPTION_COUNT,
     .field = FIELD(n_reps),
     .argument = "N",
     .fallback = "3",
     .min = 1,
     .max = 100,
     .help = "repetitions of each test; mean and standard deviation are shown"},
    {.name = "csv",
     .kind = OPTION_FLAG,
     .field = FIELD(csv),
     .on = 1,
     .help = "write comma-separated values instead of a table"},
    {.name = "kernels",
     .kind = OPTION_FLAG,
     .field = FIELD(kernels),
     .on = 1,
     .help = "instead of a model, every kernel for every kind of instructions that this machine "
             "has: compare it with its plain form, and time it"},
    KV_OPTION("f16")};
const struct option_group bench_group = GROUP("Measurement", bench_options);

static const struct option_spec synth_options[] = {
    SHAPE_OPTION("phi-4", SHAPES),
    {.name = "format",
     .kind = OPTION_CHOICE,
     .field = FIELD(format),
     .argument = "FORMAT",
     .fallback = "upg",
     .choices = synth_formats,
     .help = "a .upg file of random codes, or a directory of random bfloat16 weights that can be "
             "compressed"},
    LAYERS_OPTION,
    BPW_OPTION,
    {.name = "seed",
     .kind = OPTION_SEED,
     .field = FIELD(seed),
     .argument = "N",
     .fallback = "1",
     .max = 9007199254740991.0,
     .help = "the same seed gives the same model"},
    THREADS_OPTION};
const struct option_group synth_group = GROUP("Model", synth_options);

static const struct option_spec manual_options[] = {
    {.name = "man",
     .kind = OPTION_FLAG,
     .field = FIELD(man),
     .on = 1,
     .help = "write the source of the manual page (roff) instead"},
    {.name = "list",
     .kind = OPTION_FLAG,
     .field = FIELD(list),
     .on = 1,
     .help = "write the names of all commands, one a line"}};
const struct option_group manual_group = GROUP("Form", manual_options);
