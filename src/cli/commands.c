/* commands.c -- the table of commands. */
#include "cli/commands.h"

#include "cli/options.h"

#include <string.h>

#define NO_MORE_EXAMPLES                                                                           \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

static const struct command run = {
    .name = "run",
    .summary = "generate text once",
    .description =
        "Continues a text. The new text goes to standard output as it comes, exactly as it is "
        "(a line end is added on a terminal only); a line of statistics goes to standard error.\n\n"
        "By default the model goes on with the text as a book would. With --chat the text is a "
        "question, and the model answers it.\n\n"
        "The text is given with -p, in a file with -f, or behind MODEL; - reads standard input. "
        "What looks like a special token in it is plain text, unless --parse-special is given. "
        "Ctrl-C ends the new text early.",
    .operands = {"[MODEL] [TEXT]", .model = true, .min = 0, .max = 1, .kind = OPERAND_FILES},
    .groups =
        (const struct option_group *const[]){&text_group, &run_group, &sampling_group, &form_group,
                                             &machine_group, &cache_group, &output_group, NULL},
    .examples =
        (const struct example[]){
            {"Go on with a story, with the model inside upg", "upg run -p 'Once upon a time'"},
            {"Ask a question", "upg run phi-4.upg --chat -p 'Why is the sky blue?'"},
            {"Read the text from another program, write at most 100 tokens",
             "cat letter.txt | upg run phi-4.upg -n 100 -"},
            {"Everything about the answer, for a script",
             "upg run phi-4.upg --json --seed 1 -p 'Hello'"},
            NO_MORE_EXAMPLES},
    .run = run_command};

static const struct command chat = {
    .name = "chat",
    .summary = "talk with a model in the terminal",
    .description =
        "A conversation: type a line, read the answer. A line that ends with a backslash goes on "
        "in the next one. Ctrl-C stops the answer, Ctrl-D leaves. The lines that were typed are "
        "kept in $XDG_STATE_HOME/upg/history (by default ~/.local/state/upg/history).\n\n"
        "/help shows the commands: /reset begins anew, /system TEXT says who the assistant is, "
        "/save FILE and /load FILE keep a conversation as JSON messages, /stats shows speed and "
        "room, /quit leaves.\n\n"
        "When the context is full, the oldest turns are dropped, and upg says so; the system text "
        "stays.\n\n"
        "Without a terminal, each line of standard input is answered, and only the answers are "
        "written; with --json, one document with all messages at the end.",
    .operands = {"[MODEL]", .model = true, .min = 0, .max = 0, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&chat_group, &sampling_group, &machine_group,
                                                   &cache_group, &output_group, NULL},
    .examples = (const struct example[]){{"Talk with the small model inside upg", "upg chat"},
                                         {"Talk with another one that answers in rhymes",
                                          "upg chat phi-4.upg --system 'You answer in rhymes.'"},
                                         {"Two questions from a script",
                                          "printf 'Hello\\nWho are you?\\n' | upg chat --greedy"},
                                         NO_MORE_EXAMPLES},
    .run = chat_command};

static const struct command serve = {
    .name = "serve",
    .summary = "serve a model over HTTP, with the OpenAI API and a chat page",
    .description =
        "Programs that speak the OpenAI API talk to http://127.0.0.1:8080/v1; a browser finds a "
        "chat page at http://127.0.0.1:8080/. Many clients are answered at the same time; what "
        "several prompts have in common is computed once.\n\n"
        "Only this machine can reach the server, unless --host says otherwise; then give it an "
        "--api-key-file. All memory for answers is taken at the start.\n\n"
        "Each request is a line on standard error: key=value, with --json JSON, with --quiet none. "
        "Prompts, answers and keys never appear there. Ctrl-C or SIGTERM takes no new requests and "
        "lets those in work finish; a second one ends at once.",
    .operands = {"[MODEL]", .model = true, .min = 0, .max = 0, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&network_group, &access_group, &load_group,
                                                   &limit_group, &machine_group, &cache_group,
                                                   &output_group, NULL},
    .examples =
        (const struct example[]){
            {"The small model inside upg, on this machine", "upg serve"},
            {"For the whole network, with keys and a name",
             "upg serve phi-4.upg --host 0.0.0.0 --api-key-file keys --model-name phi-4"},
            {"Longer conversations of more people at once",
             "upg serve phi-4.upg --ctx 16384 --cache-tokens 131072 --kv q8"},
            NO_MORE_EXAMPLES},
    .run = serve_command};

static const struct command tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids, or ids into text",
    .description =
        "Writes the ids of the tokens of a text, in one line. MODEL may also be a directory with "
        "only a tokenizer.json. With --decode it is the other way round: the text is a list of "
        "ids, separated by blanks or commas.\n\n"
        "With --jsonl, each line of a file is an object with 'text' (and 'parse_special'), or with "
        "'messages' (and 'add_generation_prompt'); it is answered by a line with 'ids', and for "
        "messages the 'prompt' that the chat template makes of them.",
    .operands = {"[MODEL] [TEXT]", .model = true, .min = 0, .max = 1, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&text_group, &tokenize_group, &json_group, NULL},
    .examples =
        (const struct example[]){{"The ids of a text", "upg tokenize phi-4.upg 'Hello world'"},
                                 {"With the model inside upg, and the text of each token",
                                  "upg tokenize --json -p 'Hello world'"},
                                 {"Back into text", "upg tokenize phi-4.upg --decode '9906 1917'"},
                                 NO_MORE_EXAMPLES},
    .run = tokenize_command};

static const struct command logits = {
    .name = "logits",
    .summary = "write the logits of every token of a text to a NumPy file",
    .description =
        "Runs a text, or token ids, through the model once and writes float32 logits [n, vocab] in "
        "the NPY format, which numpy.load() reads: row i tells what the model expects after token "
        "i. They are not normalised. OUT.npy appears when it is complete; - is standard output.",
    .operands = {"[MODEL] OUT.npy", .model = true, .min = 1, .max = 1, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&text_group, &logits_group, &machine_group,
                                                   &exact_cache_group, &output_group, NULL},
    .examples =
        (const struct example[]){
            {"Of a text", "upg logits phi-4.upg out.npy -p 'The capital of Italy is'"},
            {"Of ids, computed the plain way",
             "upg logits phi-4.upg out.npy --ids 791,6864 --compute reference"},
            NO_MORE_EXAMPLES},
    .run = logits_command};

static const struct command inspect = {
    .name = "inspect",
    .summary = "show what is in a model file",
    .description =
        "Shows sizes, configuration, tokenizer, the tokens that end an answer, every tensor with "
        "its shape, type and bits a weight, and what the file says about where it comes from and "
        "how good it is. Nothing is loaded into memory that is not looked at.",
    .operands = {"[MODEL]", .model = true, .min = 0, .max = 0, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&json_group, NULL},
    .examples =
        (const struct example[]){
            {"The model inside upg", "upg inspect"},
            {"Bits of each tensor, for a script",
             "upg inspect phi-4.upg --json | jq '.tensors[] | [.name, .bits]'"},
            NO_MORE_EXAMPLES},
    .run = inspect_command};

static const struct command verify = {
    .name = "verify",
    .summary = "check every byte of a model file",
    .description =
        "Compares every tensor of a .upg file with the checksum that was written with it; exit "
        "status 3 and the name of the tensor tell of damage. Files of other kinds have no "
        "checksums: they are opened, and their weights are looked at.",
    .operands = {"[MODEL]", .model = true, .min = 0, .max = 0, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&output_group, NULL},
    .examples =
        (const struct example[]){{"After a download", "upg verify phi-4.upg"}, NO_MORE_EXAMPLES},
    .run = verify_command};

static const struct command eval = {
    .name = "eval",
    .summary = "measure how well a model predicts texts",
    .description =
        "Perplexity: how many tokens, all equally probable, the model hesitates between on "
        "average. Lower is better; numbers can be compared between models with the same "
        "vocabulary.\n\n"
        "Windows of --ctx tokens begin every --stride tokens. Each of the last stride positions of "
        "a window (in the first window, every position) predicts the token that follows it, so "
        "every token but the first is predicted once. Nothing is put in front of the text.\n\n"
        "With --ref, the distance to another model is measured as well: the Kullback-Leibler "
        "divergence from its predictions in nats, how often both expect the same token, and the "
        "retention exp(ref_nll - nll).",
    .operands = {"[MODEL] FILE...", .model = true, .min = 1, .max = 1000, .kind = OPERAND_FILES},
    .groups =
        (const struct option_group *const[]){&eval_group, &machine_group, &output_group, NULL},
    .examples =
        (const struct example[]){
            {"The model inside upg, on a text of yours", "upg eval text.txt"},
            {"Two texts, and the distance to the uncompressed model",
             "upg eval phi-4.upg a.txt b.txt --ref ./phi-4"},
            {"The model inside upg by its other name, the empty one", "upg eval '' a.txt b.txt"},
            NO_MORE_EXAMPLES},
    .run = eval_command};

static const struct command compress = {
    .name = "compress",
    .summary = "make a model ten times smaller",
    .description =
        "Turns a Hugging Face directory or a GGUF file into a .upg file that every command reads. "
        "What each part of the model needs is measured on a text; the bits are given out so that "
        "the whole file is as large as asked for, and not a byte larger. The plan and the distance "
        "to expect are shown before the long part begins.\n\n"
        "OUT.upg appears when it is complete and checked. Until then the work is kept in "
        "OUT.upg.work: after Ctrl-C, a full disk or a power cut, the same command goes on there "
        "and makes the same file, byte for byte, with any number of threads.\n\n"
        "With --json, the report: sizes, and of each matrix its bits and errors.",
    .operands = {"SRC OUT.upg", .model = false, .min = 2, .max = 2, .kind = OPERAND_FILES},
    .groups =
        (const struct option_group *const[]){&size_group, &compress_group, &output_group, NULL},
    .examples =
        (const struct example[]){
            {"To a tenth of its size in float32", "upg compress ./phi-4 phi-4.upg"},
            {"To a size that fits, with a text of yours",
             "upg compress ./phi-4 phi-4.upg --size 5.4GiB --calibration letters.txt"},
            NO_MORE_EXAMPLES},
    .run = compress_command};

static const struct command export = {
    .name = "export",
    .summary = "write a model for other programs",
    .description =
        "Writes any model with bfloat16 weights: a Hugging Face directory with its tokenizer and "
        "chat template, or a GGUF file. What a compressed model means can so be checked with other "
        "software. OUT appears when it is complete; a directory must not be there yet.\n\n"
        "Beside MODEL, OUT must be given: 'upg export OUT' writes the model inside upg.",
    .operands = {"[MODEL] OUT", .model = true, .min = 1, .max = 1, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&export_group, &output_group, NULL},
    .examples =
        (const struct example[]){
            {"For transformers", "upg export phi-4.upg ./phi-4-decoded"},
            {"For llama.cpp", "upg export phi-4.upg phi-4-bf16.gguf --format gguf"},
            NO_MORE_EXAMPLES},
    .run = export_command};

static const struct command bench = {
    .name = "bench",
    .summary = "measure the speed of a model beside the limits of the machine",
    .description =
        "Speed of prompts (pp512: 512 tokens) and of generation (tg32@d4096: 32 tokens one after "
        "the other, with 4096 tokens of context before them). Beside each figure stands the part "
        "of the machine's limit that it reaches: generation reads all weights for each token and "
        "cannot be faster than memory; prompts of compressed models cannot be faster than "
        "products of int8. Both limits are measured right before and after each repetition.\n\n"
        "Times per layer are without the embedding and the head. Memory is what this process has "
        "resident, the mapped file included, without the memory whose reading is measured.\n\n"
        "With --shape, a file of random weights is written to $TMPDIR (/tmp), measured and "
        "removed: phi-4 takes 5.9 GB there.",
    .operands = {"[MODEL]", .model = true, .min = 0, .max = 0, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&bench_group, &shape_group, &machine_group,
                                                   &output_group, NULL},
    .examples =
        (const struct example[]){
            {"The model inside upg", "upg bench"},
            {"Generation alone, at three lengths of context, with one core",
             "upg bench phi-4.upg --pp 0 --tg 64 --depth 0,2048,8192 -t 1"},
            {"What would a model of this shape do here?", "upg bench --shape phi-4-mini"},
            {"Are the kernels right, and how fast are they?", "upg bench --kernels"},
            NO_MORE_EXAMPLES},
    .run = bench_command};

static const struct command plan = {
    .name = "plan",
    .summary = "say how much memory a model will take",
    .description =
        "Bytes of weights, of the cache of keys and values, and of scratch memory, with the "
        "options given; nothing is loaded. The program keeps to it: the engine that 'run' makes "
        "with the same options takes exactly so much. Weights are mapped from the file, so that "
        "several programs share them, and the system may drop what is not used.\n\n"
        "With --shape, of a .upg file that is not there yet.",
    .operands = {"[MODEL]", .model = true, .min = 0, .max = 0, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&shape_group, &machine_group, &cache_group,
                                                   &output_group, NULL},
    .examples =
        (const struct example[]){
            {"A model with its longest context", "upg plan phi-4.upg --ctx 16384"},
            {"Would it fit, with a smaller cache?", "upg plan --shape phi-4 --ctx 16384 --kv q4"},
            {"The number alone", "upg plan phi-4.upg --json | jq .total_bytes"},
            NO_MORE_EXAMPLES},
    .run = plan_command};

static const struct command pull = {
    .name = "pull",
    .summary = "download a model from a hub",
    .description =
        "Downloads a repository of the Hugging Face hub, like microsoft/phi-4, into the cache "
        "that the hub's own tools use, and writes the name of its folder to standard output. "
        "Without FILE, what a model needs: weights, configuration, tokenizer. What is there "
        "already is not fetched again; after an interruption the same command goes on where it "
        "was. Every file is checked against the hash that the hub announces.\n\n"
        "A token for models that need one is read from HF_TOKEN or the file that "
        "'huggingface-cli login' writes. HF_ENDPOINT names another hub; HF_HOME and HF_HUB_CACHE "
        "say where the cache is; https_proxy and no_proxy are respected.",
    .operands = {"NAME [FILE...]", .model = false, .min = 1, .max = 1000, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&pull_group, &output_group, NULL},
    .examples = (const struct example[]){{"Phi-4, 29 GB", "upg pull microsoft/phi-4"},
                                         {"Download and compress",
                                          "upg compress microsoft/phi-4 phi-4.upg"},
                                         NO_MORE_EXAMPLES},
    .run = pull_command};

static const struct command synth = {
    .name = "synth",
    .summary = "write a model of a known shape with random weights",
    .description =
        "To measure speed and memory at full size without a download. The model says nothing "
        "sensible; its tokenizer knows single bytes. A .upg file has random codes; a Hugging Face "
        "directory has Gaussian weights in which a few rows and columns stand out, as in trained "
        "models. OUT appears when it is complete; a directory must not be there yet.",
    .operands = {"OUT", .model = false, .min = 1, .max = 1, .kind = OPERAND_FILES},
    .groups = (const struct option_group *const[]){&synth_group, &output_group, NULL},
    .examples = (const struct example[]){{"The largest member, compressed: 5.9 GB",
                                          "upg synth big.upg --shape phi-4"},
                                         {"Two of its layers, to be compressed",
                                          "upg synth ./two --shape phi-4 --layers 2 --format hf"},
                                         NO_MORE_EXAMPLES},
    .run = synth_command};

static const struct command help = {
    .name = "help",
    .summary = "explain upg, or one of its commands",
    .description = "The same as 'upg COMMAND --help'. With --man, the source of a manual page, to "
                   "be read with 'man -l' or installed.",
    .operands = {"[COMMAND]", .model = false, .min = 0, .max = 1, .kind = OPERAND_COMMANDS},
    .groups = (const struct option_group *const[]){&manual_group, &help_group, NULL},
    .examples = (const struct example[]){{"What can be said to 'run'?", "upg help run"},
                                         {"The manual page", "upg help --man run | man -l -"},
                                         NO_MORE_EXAMPLES},
    .run = help_command};

static const struct command completion = {
    .name = "completion",
    .summary = "write a completion script for bash, zsh or fish",
    .description = "Writes a script that makes the shell complete commands, options and their "
                   "values when Tab is pressed.",
    .operands = {"bash|zsh|fish", .model = false, .min = 1, .max = 1, .kind = OPERAND_SHELLS},
    .groups = (const struct option_group *const[]){&help_group, NULL},
    .examples =
        (const struct example[]){
            {"bash, for this session", "source <(upg completion bash)"},
            {"bash, for good",
             "upg completion bash > ~/.local/share/bash-completion/completions/upg"},
            {"zsh, into a folder of $fpath", "upg completion zsh > ~/.zfunc/_upg"},
            {"fish, for good", "upg completion fish > ~/.config/fish/completions/upg.fish"},
            NO_MORE_EXAMPLES},
    .run = completion_command};

const struct command *const upg_commands[] = {
    &run,    &chat,  &serve, &tokenize, &logits, &inspect, &verify,     &eval, &compress,
    &export, &bench, &plan,  &pull,     &synth,  &help,    &completion, NULL};

const struct command *find_command(const char *name)
{
    for (size_t i = 0; upg_commands[i]; i++)
        if (strcmp(upg_commands[i]->name, name) == 0)
            return upg_commands[i];
    return NULL;
}

const struct option_spec *command_option(const struct command *command, size_t i)
{
    for (size_t g = 0; command->groups[g]; g++) {
        if (i < command->groups[g]->n)
            return &command->groups[g]->options[i];
        i -= command->groups[g]->n;
    }
    return NULL;
}
