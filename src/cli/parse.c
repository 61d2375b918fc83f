/* parse.c -- the table of options drives getopt_long(). */
#include "cli/parse.h"

#include "cli/message.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum { MAX_OPTIONS = 64, FIRST_LONG = 256 /* getopt values of long options, above all letters */ };

void settings_clear(struct settings *settings)
{
    upg_tokens_clear(&settings->ids);
    free(settings->prompts.counts);
    free(settings->generations.counts);
    free(settings->depths.counts);
    free(settings->logit_bias.biases);
    free(settings->stop.texts);
    free(settings->calibration.texts);
    free(settings->api_keys.texts);
    free(settings->origins.texts);
    free(settings->host_names.texts);
    memset(settings, 0, sizeof *settings);
}

static void *field_of(struct settings *settings, const struct option_spec *option)
{
    return (char *)settings + option->field;
}

static upg_status refuse_value(const struct option_spec *option, const char *text,
                               const char *wanted, upg_error *err)
{
    return fail(err, UPG_ERR_ARGUMENT, "--%s: '%s' is not %s", option->name, text, wanted);
}

static upg_status refuse_range(const struct option_spec *option, const char *text, upg_error *err)
{
    return fail(err, UPG_ERR_ARGUMENT, "--%s: %s is out of range; give %.10g .. %.10g",
                option->name, text, option->min, option->max);
}

static upg_status set_count(uint64_t *field, const struct option_spec *option, const char *text,
                            upg_error *err)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || strchr(text, '-'))
        return refuse_value(option, text, "a whole number", err);
    if (errno == ERANGE || (double)value < option->min || (double)value > option->max)
        return refuse_range(option, text, err);
    *field = value;
    return UPG_OK;
}

static upg_status set_seed(uint64_t *field, const struct option_spec *option, const char *text,
                           upg_error *err)
{
    uint32_t drawn;

    if (strcmp(text, "random") != 0)
        return set_count(field, option, text, err);
    if (getentropy(&drawn, sizeof drawn) != 0)
        return fail_errno(err, "--seed", "draw a random number");
    *field = drawn;
    return UPG_OK;
}

static upg_status set_auto(uint64_t *field, const struct option_spec *option, const char *text,
                           upg_error *err)
{
    if (strcmp(text, "auto") != 0)
        return set_count(field, option, text, err);
    *field = UINT64_MAX;
    return UPG_OK;
}

/* "5.4GiB": the unit's letters in upper or lower case. */
static upg_status set_size(uint64_t *field, const struct option_spec *option, const char *text,
                           upg_error *err)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},     {"B", 1},        {"kB", 1e3},     {"MB", 1e6},
                 {"GB", 1e9}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}};
    char *end;
    const double number = strtod(text, &end);

    for (size_t i = 0; end != text && i < sizeof units / sizeof *units; i++) {
        const double bytes = number * units[i].bytes;

        if (strcasecmp(end, units[i].name) != 0)
            continue;
        if (!(bytes >= option->min && bytes <= option->max))
            return refuse_range(option, text, err);
        *field = (uint64_t)bytes;
        return UPG_OK;
    }
    return refuse_value(option, text, "a size like 5.4GiB, 12MB or 5400000000", err);
}

static upg_status set_real(double *field, const struct option_spec *option, const char *text,
                           upg_error *err)
{
    char *end;
    const double value = strtod(text, &end);

    if (end == text || *end != '\0' || isnan(value))
        return refuse_value(option, text, "a number", err);
    if (value < option->min || value > option->max)
        return refuse_range(option, text, err);
    *field = value;
    return UPG_OK;
}

static upg_status set_choice(int *field, const struct option_spec *option, const char *text,
                             upg_error *err)
{
    char list[256] = "";

    for (const struct choice *choice = option->choices; choice->word; choice++) {
        if (strcmp(choice->word, text) == 0) {
            *field = choice->value;
            return UPG_OK;
        }
        if (choice != option->choices)
            strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, choice->word, sizeof list - strlen(list) - 1);
    }
    return fail(err, UPG_ERR_ARGUMENT, "--%s: '%s' is none of: %s", option->name, text, list);
}

static upg_status add_text(struct text_list *list, const char *text, upg_error *err)
{
    const char **texts = realloc(list->texts, (list->n + 1) * sizeof *texts);

    if (!texts)
        return fail_memory(err, "a list of texts");
    list->texts = texts;
    list->texts[list->n++] = text;
    return UPG_OK;
}

/* A token id at text; *end is where it ends. */
static bool parse_id(const char *text, char **end, int32_t *id)
{
    long value;

    errno = 0;
    value = strtol(text, end, 10);
    *id = (int32_t)value;
    return *end != text && errno == 0 && value >= 0 && value <= INT32_MAX;
}

static upg_status set_ids(upg_tokens *ids, const struct option_spec *option, const char *text,
                          upg_error *err)
{
    upg_status status = UPG_OK;

    upg_tokens_clear(ids);
    for (const char *next = text; status == UPG_OK;) {
        char *end;
        int32_t id;

        if (!parse_id(next, &end, &id) || (*end != ',' && *end != '\0'))
            return refuse_value(option, text, "a list of token ids like 1,2,3", err);
        status = upg_tokens_append(ids, &id, 1, err);
        if (*end == '\0')
            break;
        next = end + 1;
    }
    return status;
}

static upg_status set_counts(struct count_list *list, const struct option_spec *option,
                             const char *text, upg_error *err)
{
    const char *next = text;

    list->n = 0;
    for (bool more = true; more;) {
        size_t *counts = realloc(list->counts, (list->n + 1) * sizeof *counts);
        char *end;
        unsigned long long value;

        if (!counts)
            return fail_memory(err, "a list of numbers");
        list->counts = counts;
        errno = 0;
        value = strtoull(next, &end, 10);
        if (end == next || *next == '-' || (*end != ',' && *end != '\0'))
            return refuse_value(option, text, "a list of whole numbers like 1,2,3", err);
        if (errno == ERANGE || (double)value < option->min || (double)value > option->max)
            return refuse_range(option, text, err);
        list->counts[list->n++] = (size_t)value;
        more = *end == ',';
        next = end + 1;
    }
    return UPG_OK;
}

static upg_status add_bias(struct bias_list *list, const struct option_spec *option,
                           const char *text, upg_error *err)
{
    char *end;
    int32_t id;
    float bias = 0;
    upg_logit_bias *biases;

    if (parse_id(text, &end, &id) && *end == '=') {
        const char *number = end + 1;
        bias = strtof(number, &end);
        if (end == number || isnan(bias))
            end = NULL;
    } else {
        end = NULL;
    }
    if (!end || *end != '\0')
        return refuse_value(option, text, "a bias like 1234=-5.5 (-inf bans the token)", err);
    biases = realloc(list->biases, (list->n + 1) * sizeof *biases);
    if (!biases)
        return fail_memory(err, "a list of biases");
    list->biases = biases;
    list->biases[list->n++] = (upg_logit_bias){.id = id, .bias = bias};
    return UPG_OK;
}

static upg_status set_option(struct settings *settings, const struct option_spec *option,
                             const char *text, upg_error *err)
{
    void *field = field_of(settings, option);

    switch (option->kind) {
    case OPTION_FLAG: *(int *)field = option->on; return UPG_OK;
    case OPTION_COUNT: return set_count(field, option, text, err);
    case OPTION_AUTO: return set_auto(field, option, text, err);
    case OPTION_SIZE: return set_size(field, option, text, err);
    case OPTION_SEED: return set_seed(field, option, text, err);
    case OPTION_REAL: return set_real(field, option, text, err);
    case OPTION_TEXT:
    case OPTION_FILE: *(const char **)field = text; return UPG_OK;
    case OPTION_CHOICE: return set_choice(field, option, text, err);
    case OPTION_TEXTS:
    case OPTION_FILES: return add_text(field, text, err);
    case OPTION_IDS: return set_ids(field, option, text, err);
    case OPTION_COUNTS: return set_counts(field, option, text, err);
    case OPTION_BIASES: return add_bias(field, option, text, err);
    }
    return fail(err, UPG_ERR_INTERNAL, "--%s: an option of no kind", option->name);
}

/* Defaults first, then the environment. */
static upg_status set_defaults(struct settings *settings, const struct command *command,
                               upg_error *err)
{
    upg_status status = UPG_OK;
    const struct option_spec *option;

    for (size_t i = 0; status == UPG_OK && (option = command_option(command, i)); i++) {
        const char *text = option->environment ? getenv(option->environment) : NULL;

        if (text && *text) {
            status = set_option(settings, option, text, err);
            if (status != UPG_OK)
                add_context(err, option->environment);
        } else if (option->fallback) {
            status = set_option(settings, option, option->fallback, err);
        }
    }
    return status;
}

/* The two forms in which getopt_long() wants the options; both end with zeros. */
struct getopt_tables {
    char letters[2 * MAX_OPTIONS + 3];
    struct option names[MAX_OPTIONS + 1];
};

static void fill_getopt_tables(struct getopt_tables *tables, const struct command *command)
{
    const struct option_spec *option;
    char *letter = tables->letters;

    *letter++ = ':'; /* tell a missing argument from an unknown option */
    for (size_t i = 0; (option = command_option(command, i)); i++) {
        assert(i < MAX_OPTIONS);
        tables->names[i] =
            (struct option){.name = option->name,
                            .has_arg = option->argument ? required_argument : no_argument,
                            .val = FIRST_LONG + (int)i};
        if (option->letter)
            *letter++ = option->letter;
        if (option->letter && option->argument)
            *letter++ = ':';
    }
}

/* The option that getopt_long() returned, or NULL. */
static const struct option_spec *option_of(const struct command *command, int value)
{
    const struct option_spec *option;

    if (value >= FIRST_LONG)
        return command_option(command, (size_t)(value - FIRST_LONG));
    for (size_t i = 0; value && (option = command_option(command, i)); i++)
        if (option->letter == value)
            return option;
    return NULL;
}

static const char *option_name(const void *command, size_t i)
{
    return command_option(command, i)->name;
}

static upg_status refuse_unknown(const struct command *command, const char *word, upg_error *err)
{
    const char *name = word + strspn(word, "-"), *nearest;
    char typed[64];
    size_t n_options = 0;

    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(name, "="), name);
    while (command_option(command, n_options))
        n_options++;
    nearest = nearest_word(typed, command, n_options, option_name);
    if (nearest)
        return fail(err, UPG_ERR_ARGUMENT, "unknown option '%s'; did you mean '--%s'?", word,
                    nearest);
    return fail(err, UPG_ERR_ARGUMENT, "unknown option '%s'", word);
}

/* getopt_long() found value ':' or '?'. */
static upg_status refuse_option(const struct command *command, int value, char **argv,
                                upg_error *err)
{
    const struct option_spec *option = option_of(command, optopt);
    char letter[3] = {'-', (char)optopt, '\0'};

    if (value == ':' && option)
        return fail(err, UPG_ERR_ARGUMENT, "option '--%s' needs a value: --%s %s", option->name,
                    option->name, option->argument);
    if (option)
        return fail(err, UPG_ERR_ARGUMENT, "option '--%s' takes no value", option->name);
    return refuse_unknown(command, optopt ? letter : argv[optind - 1], err);
}

/* MODEL may be absent: it is there if there are more operands than the command needs without it,
 * and it is never "-". */
static upg_status take_operands(struct settings *settings, const struct operand_rule *rule,
                                int n_words, char **words, upg_error *err)
{
    size_t n = (size_t)n_words;

    if (rule->model && n > rule->min && strcmp(words[0], "-") != 0) {
        settings->model = *words[0] ? words[0] : NULL;
        words++;
        n--;
    }
    if (n < rule->min)
        return fail(err, UPG_ERR_ARGUMENT, "something is missing; the form is: upg %s %s",
                    settings->command->name, rule->synopsis);
    if (n > rule->max)
        return fail(err, UPG_ERR_ARGUMENT, "'%s' is too much; the form is: upg %s %s",
                    words[rule->max], settings->command->name, rule->synopsis);
    settings->operands = words;
    settings->n_operands = n;
    return UPG_OK;
}

upg_status parse_command_line(struct settings *settings, const struct command *command, int argc,
                              char **argv, upg_error *err)
{
    struct getopt_tables tables = {{0}, {{0}}};
    upg_status status;
    int value;

    memset(settings, 0, sizeof *settings);
    settings->command = command;
    fill_getopt_tables(&tables, command);
    status = set_defaults(settings, command, err);
    opterr = 0;
    while (status == UPG_OK &&
           (value = getopt_long(argc, argv, tables.letters, tables.names, NULL)) != -1) {
        const struct option_spec *option = option_of(command, value);

        status = option ? set_option(settings, option, optarg, err)
                        : refuse_option(command, value, argv, err);
    }
    if (status != UPG_OK || settings->help)
        return status;
    return take_operands(settings, &command->operands, argc - optind, argv + optind, err);
}

static const char *command_name(const void *commands, size_t i)
{
    (void)commands; /* there is only one table */
    return upg_commands[i]->name;
}

upg_status refuse_command(const char *name, upg_error *err)
{
    const char *nearest;
    size_t n = 0;

    while (upg_commands[n])
        n++;
    nearest = nearest_word(name, upg_commands, n, command_name);
    if (nearest)
        return fail(err, UPG_ERR_ARGUMENT, "there is no command '%s'; did you mean '%s'?", name,
                    nearest);
    return fail(err, UPG_ERR_ARGUMENT, "there is no command '%s'; 'upg --help' lists them", name);
}
