/* chat_detect.c -- which template is this Jinja text?
 *
 * Published templates of one model differ in layout, so what decides is what they write: control
 * tokens, fixed texts, whether they ask for the generation prompt. */
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

struct jinja {
    const char *text;
    size_t n;
};

static const char *find(struct jinja jinja, const char *what)
{
    return memmem(jinja.text, jinja.n, what, strlen(what));
}

/* The quote that the byte at `at` is quoted by in {{ }} or {% %}; 0 outside, where text stands for
 * itself. */
static char quote_at(struct jinja jinja, const char *at)
{
    bool in_code = false;
    char quote = 0;

    for (const char *c = jinja.text; c < at; c++) {
        if (quote && *c == '\\')
            c++;
        else if (quote)
            quote = *c == quote ? 0 : quote;
        else if (in_code && (*c == '\'' || *c == '"'))
            quote = *c;
        else if (*c == '{' && (c[1] == '{' || c[1] == '%'))
            in_code = true;
        else if ((*c == '}' || *c == '%') && c[1] == '}')
            in_code = false;
    }
    return quote;
}

/* The text from `begin` to the next <|im_end|>, if it is one constant text: copied to the owned C
 * string *out, escapes resolved; otherwise *out stays NULL. */
static upg_status copy_constant(struct jinja jinja, const char *begin, char **out, upg_error *err)
{
    const size_t n_left = jinja.n - (size_t)(begin - jinja.text);
    const char *end = memmem(begin, n_left, "<|im_end|>", strlen("<|im_end|>"));
    const char quote = quote_at(jinja, begin);
    size_t n = 0;
    char *copy;

    if (!end || end == begin)
        return UPG_OK;
    copy = malloc((size_t)(end - begin) + 1);
    if (!copy)
        return upg_fail_memory(err, "the chat template", (size_t)(end - begin) + 1);
    for (const char *c = begin; c < end; c++) {
        if (quote ? *c == quote : *c == '{' && (c[1] == '{' || c[1] == '%')) {
            free(copy); /* the text ends here and something computed follows */
            return UPG_OK;
        }
        if (quote && *c == '\\' && c + 1 < end) {
            c++;
            copy[n++] = *c == 'n' ? '\n' : *c == 't' ? '\t' : *c;
        } else {
            copy[n++] = *c;
        }
    }
    copy[n] = '\0';
    *out = copy;
    return UPG_OK;
}

/* The first constant text that follows one of the two openings of a system turn. */
static upg_status find_system(struct jinja jinja, const char *opening, char **system,
                              upg_error *err)
{
    const char *at = find(jinja, opening);
    upg_status status = UPG_OK;

    while (at && !*system && status == UPG_OK) {
        const char *begin = at + strlen(opening);
        status = copy_constant(jinja, begin, system, err);
        at = memmem(begin, jinja.n - (size_t)(begin - jinja.text), opening, strlen(opening));
    }
    return status;
}

bool upg_chat_has_tokens(enum upg_chat_kind kind, const struct upg_added_set *added)
{
    static const char *const phi4[] = {"<|im_start|>", "<|im_sep|>", "<|im_end|>", NULL};
    static const char *const mini[] = {"<|system|>", "<|user|>",  "<|assistant|>", "<|end|>",
                                       "<|tool|>",   "<|/tool|>", "<|endoftext|>", NULL};
    static const char *const chatml[] = {"<|im_start|>", "<|im_end|>", NULL};
    const char *const *token = phi4;

    if (kind == UPG_CHAT_PHI4_MINI || kind == UPG_CHAT_PHI4_MINI_REASONING)
        token = mini;
    if (kind == UPG_CHAT_CHATML)
        token = chatml;
    for (; *token; token++)
        if (!upg_added_find(added, *token, strlen(*token)))
            return false;
    return kind != UPG_CHAT_NONE;
}

/* Of a family whose every member is a chat model, a file without a template still says which member
 * it is by its control tokens. */
static enum upg_chat_kind guess_from_tokens(const struct upg_added_set *added)
{
    if (upg_chat_has_tokens(UPG_CHAT_PHI4, added))
        return upg_added_find(added, "<think>", strlen("<think>")) ? UPG_CHAT_PHI4_REASONING
                                                                   : UPG_CHAT_PHI4;
    return upg_chat_has_tokens(UPG_CHAT_PHI4_MINI, added) ? UPG_CHAT_PHI4_MINI : UPG_CHAT_NONE;
}

/* Templates with <|im_sep|>: three of the family. */
static enum upg_chat_kind kind_with_separator(struct jinja jinja, const char *system)
{
    if (system)
        return UPG_CHAT_PHI4_REASONING;
    if (find(jinja, "add_generation_prompt"))
        return UPG_CHAT_PHI4;
    return find(jinja, "<|im_start|>assistant<|im_sep|>") ? UPG_CHAT_PHI4_FIRST_RELEASE
                                                          : UPG_CHAT_NONE;
}

/* Templates that paste a role between <| and |>: mini.  Those of Phi-3 look alike but write
 * newlines. */
static enum upg_chat_kind kind_with_roles(struct jinja jinja)
{
    if (find(jinja, "Your name is Phi, an AI math expert developed by Microsoft."))
        return UPG_CHAT_PHI4_MINI_REASONING;
    return find(jinja, "\\n") ? UPG_CHAT_NONE : UPG_CHAT_PHI4_MINI;
}

/* ChatML as it is: templates that handle tools or trim contents do more than upg does. */
static bool is_plain_chatml(struct jinja jinja)
{
    return find(jinja, "<|im_start|>") && find(jinja, "<|im_end|>") && !find(jinja, "tool") &&
           !find(jinja, "trim") && !find(jinja, "strip");
}

static bool pastes_roles(struct jinja jinja)
{
    return find(jinja, "<|end|>") && (find(jinja, "'<|'") || find(jinja, "\"<|\""));
}

/* The system text is kept only where it is not the one that upg has for this kind. */
static void set_template(struct upg_chat_template *chat, enum upg_chat_kind kind, char *system)
{
    const char *own;

    chat->kind = kind;
    own = upg_chat_system(chat);
    if (system && own && strcmp(system, own) == 0) {
        free(system);
        system = NULL;
    }
    chat->system = system;
}

upg_status upg_chat_detect(struct upg_chat_template *chat, const struct upg_added_set *added,
                           const char *text, size_t n, upg_error *err)
{
    const struct jinja jinja = {text, n};
    enum upg_chat_kind kind = UPG_CHAT_NONE;
    char *system = NULL;
    upg_status status = UPG_OK;

    if (!text) {
        chat->kind = guess_from_tokens(added);
        return UPG_OK;
    }
    if (find(jinja, "<|im_sep|>")) {
        status = find_system(jinja, "<|im_start|>system<|im_sep|>", &system, err);
        kind = kind_with_separator(jinja, system);
    } else if (pastes_roles(jinja)) {
        kind = kind_with_roles(jinja);
    } else if (is_plain_chatml(jinja)) {
        kind = UPG_CHAT_CHATML;
        status = find_system(jinja, "<|im_start|>system\\n", &system, err);
        if (status == UPG_OK && !system)
            status = find_system(jinja, "<|im_start|>system\n", &system, err);
    }
    if (status == UPG_OK && upg_chat_has_tokens(kind, added))
        set_template(chat, kind, system);
    else
        free(system);
    return status;
}
