/* manual.c -- the parts of a page, in order. */
#include "cli/manual.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 1024 };

static const char upg_summary[] = "run language models of the Phi-4 family";

static const char upg_description[] =
    "upg generates text with a language model on this machine. Nothing is sent anywhere.\n\n"
    "MODEL is a .upg file, a directory as Hugging Face has them, or a GGUF file. Without it, the "
    "small model inside upg is used, so that everything can be tried at once.";

static const char model_text[] =
    "MODEL is a .upg file, a Hugging Face directory or a GGUF file; without it, the small model "
    "inside upg is used.";

static const struct example upg_examples[] = {
    {"Talk with the small model inside upg", "upg chat"},
    {"Go on with a text", "upg run -p 'Once upon a time'"},
    {"Ask a model of yours", "upg run phi-4.upg --chat -p 'Why is the sky blue?'"},
    {"Everything about a command", "upg run --help"}};

struct term {
    const char *term, *text;
};

static const struct term exit_codes[] = {{"0", "success"},
                                         {"1", "failure while running"},
                                         {"2", "wrong usage"},
                                         {"3", "bad or damaged input"},
                                         {"4", "out of memory or disk"},
                                         {"130", "interrupted"}};

static const struct term environment[] = {
    {"UPG_CPU", "the highest processor tier to use: scalar, avx2, avx512, amx or neon"},
    {"UPG_THREADS", "the default of --threads"},
    {"UPG_LOG", "the default of --log: quiet, normal or verbose"},
    {"NO_COLOR", "if set, nothing is coloured"},
    {"XDG_STATE_HOME", "where the folder with the history of 'upg chat' is; ~/.local/state"}};

#define N_OF(list) (sizeof(list) / sizeof *(list))

void option_term(const struct option_spec *option, char *out, size_t n)
{
    char letter[] = "-x, ";

    letter[1] = option->letter;
    snprintf(out, n, "%s--%s%s%s", option->letter ? letter : "    ", option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
}

static void add(char *text, const char *separator, const char *more)
{
    strncat(text, separator, TEXT_BYTES - 1 - strlen(text));
    strncat(text, more, TEXT_BYTES - 1 - strlen(text));
}

/* The explanation with what may be given and what holds without the option. */
static void option_text(const struct option_spec *option, char text[TEXT_BYTES])
{
    char range[64];
    const char *separator = " [";

    snprintf(text, TEXT_BYTES, "%s", option->help);
    for (size_t i = 0; option->choices && option->choices[i].word; i++) {
        add(text, i == 0 ? separator : ", ", option->choices[i].word);
        separator = "; ";
    }
    if (option->kind == OPTION_REAL) {
        snprintf(range, sizeof range, "%g .. %g", option->min, option->max);
        add(text, separator, range);
        separator = "; ";
    }
    if (option->fallback) {
        add(text, separator, "default: ");
        add(text, "", option->fallback);
        separator = "; ";
    }
    if (option->environment) {
        add(text, separator, "environment: ");
        add(text, "", option->environment);
        separator = "; ";
    }
    if (*separator == ';')
        add(text, "", "]");
}

static void write_options(const struct manual_form *form, const struct command *command)
{
    char term[64], text[TEXT_BYTES];

    form->heading("Options");
    for (size_t g = 0; command->groups[g]; g++) {
        const struct option_group *group = command->groups[g];

        form->subheading(group->title);
        for (size_t i = 0; i < group->n; i++) {
            option_term(&group->options[i], term, sizeof term);
            option_text(&group->options[i], text);
            form->item(term, text);
        }
    }
}

static void write_terms(const struct manual_form *form, const char *heading,
                        const struct term *terms, size_t n)
{
    form->heading(heading);
    for (size_t i = 0; i < n; i++)
        form->item(terms[i].term, terms[i].text);
}

static void write_command(const struct manual_form *form, const struct command *command)
{
    char name[64], synopsis[256];

    snprintf(name, sizeof name, "upg %s", command->name);
    snprintf(synopsis, sizeof synopsis, "%s %s [OPTIONS]", name, command->operands.synopsis);
    form->begin(name, command->summary, synopsis);
    form->paragraphs(command->description);
    if (command->operands.model)
        form->paragraphs(model_text);
    write_options(form, command);
    form->heading("Examples");
    for (const struct example *example = command->examples; example->what; example++)
        form->example(example->what, example->line);
}

static void write_overview(const struct manual_form *form)
{
    form->begin("upg", upg_summary, "upg COMMAND [MODEL] [OPTIONS]");
    form->paragraphs(upg_description);
    form->heading("Commands");
    for (size_t i = 0; upg_commands[i]; i++)
        form->item(upg_commands[i]->name, upg_commands[i]->summary);
    form->heading("Options");
    form->item("-h, --help", "show this text; 'upg COMMAND --help' explains a command");
    form->item("-V, --version", "show the version");
    form->heading("Examples");
    for (size_t i = 0; i < N_OF(upg_examples); i++)
        form->example(upg_examples[i].what, upg_examples[i].line);
}

void write_manual(const struct manual_form *form, const struct command *command)
{
    if (command)
        write_command(form, command);
    else
        write_overview(form);
    if (!command || form->complete) {
        write_terms(form, "Exit status", exit_codes, N_OF(exit_codes));
        write_terms(form, "Environment", environment, N_OF(environment));
    }
}
