/* generation.c -- from settings to generated text. */
#include "cli/generation.h"

#include "cli/interrupt.h"
#include "cli/output.h"

#include <unistd.h>

/* What the callbacks of one generation share. */
struct stream {
    struct progress progress; /* of the prompt */
    bool enabled, for_terminal;
    char last_byte; /* written so far, 0: none */
};

/* Length of the control character at text[0], 0 if there is none.  A model could write the escape
 * sequences by which terminals are told what to do; line ends and tabs are harmless. */
static size_t control_length(const char *text, size_t n)
{
    const unsigned char byte = (unsigned char)text[0];

    if (byte == '\n' || byte == '\t')
        return 0;
    if (byte < 0x20 || byte == 0x7F)
        return 1;
    return byte == 0xC2 && n > 1 && (unsigned char)text[1] < 0xA0 ? 2 : 0; /* U+0080 .. U+009F */
}

/* Write for eyes: each control character as U+FFFD. */
static bool output_visible(const char *text, size_t n)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    bool written = true;

    while (n > 0 && written) {
        size_t n_plain = 0, n_control = 0;

        while (n_plain < n && (n_control = control_length(text + n_plain, n - n_plain)) == 0)
            n_plain++;
        written = output_now(text, n_plain);
        if (n_control > 0 && written)
            written = output_now(replacement, sizeof replacement - 1);
        text += n_plain + n_control;
        n -= n_plain + n_control;
    }
    return written;
}

static int on_text(void *context, const char *text, size_t n_bytes)
{
    struct stream *stream = context;

    progress_end(&stream->progress);
    if (interrupt_seen())
        return 1;
    if (!stream->enabled || n_bytes == 0)
        return 0;
    stream->last_byte = text[n_bytes - 1];
    if (stream->for_terminal)
        return output_visible(text, n_bytes) ? 0 : 1;
    return output_now(text, n_bytes) ? 0 : 1;
}

static void fill_options(upg_generate_options *options, const struct settings *settings)
{
    upg_sampling *sampling = &options->sampling;

    upg_generate_options_defaults(options);
    sampling->temperature = settings->greedy ? 0 : (float)settings->temperature;
    sampling->top_k = (int32_t)settings->top_k;
    sampling->top_p = (float)settings->top_p;
    sampling->min_p = (float)settings->min_p;
    sampling->repetition_penalty = (float)settings->repetition_penalty;
    sampling->presence_penalty = (float)settings->presence_penalty;
    sampling->frequency_penalty = (float)settings->frequency_penalty;
    sampling->logit_bias = settings->logit_bias.biases;
    sampling->n_logit_bias = settings->logit_bias.n;
    options->max_tokens = (size_t)settings->max_tokens;
    options->stop = settings->stop.texts;
    options->n_stop = settings->stop.n;
}

upg_status generate(upg_sequence *sequence, const upg_tokens *prompt,
                    const struct settings *settings, upg_constraint *constraint, uint64_t seed,
                    bool stream_text, upg_generation *generation, upg_error *err)
{
    struct stream stream = {.enabled = stream_text, .for_terminal = isatty(STDOUT_FILENO)};
    upg_generate_options options;
    upg_status status;

    fill_options(&options, settings);
    options.sampling.seed = seed;
    options.constraint = constraint;
    progress_begin(&stream.progress, NULL, wants_progress(settings));
    options.on_text = on_text;
    options.on_text_context = &stream;
    options.progress = progress_update;
    options.progress_context = &stream.progress;
    status = upg_generate(sequence, prompt->ids, prompt->n, &options, generation, err);
    progress_end(&stream.progress);
    if (stream.for_terminal && stream.last_byte && stream.last_byte != '\n')
        output_now("\n", 1);
    return status;
}

const char *finish_name(upg_finish finish)
{
    switch (finish) {
    case UPG_FINISH_STOP: return "stop";
    case UPG_FINISH_LENGTH: return "length";
    case UPG_FINISH_FAILED:
    case UPG_FINISH_CANCELLED: break;
    }
    return "cancelled";
}

double rate(size_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}
