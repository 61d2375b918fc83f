/* chat.c -- conversations to prompts.
 *
 * A renderer writes a row of literals (text of the template, which may name control tokens) and
 * contents (text of messages, which may not).  No newlines or spaces are added but those written
 * here.  Formats: the chat_template of each model's tokenizer_config.json. */
#include "text/chat.h"

#include "base/size.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char reasoning_system[] =
    "You are Phi, a language model trained by Microsoft to help users. Your role as an assistant "
    "involves thoroughly exploring questions through a systematic thinking process before "
    "providing "
    "the final precise and accurate solutions. This requires engaging in a comprehensive cycle of "
    "analysis, summarizing, exploration, reassessment, reflection, backtracing, and iteration to "
    "develop well-considered thinking process. Please structure your response into two main "
    "sections: Thought and Solution using the specified format: <think> {Thought section} </think> "
    "{Solution section}. In the Thought section, detail your reasoning process in steps. Each step "
    "should include detailed considerations such as analysing questions, summarizing relevant "
    "findings, brainstorming new ideas, verifying the accuracy of the current steps, refining any "
    "errors, and revisiting previous steps. In the Solution section, based on various attempts, "
    "explorations, and reflections from the Thought section, systematically present the final "
    "solution that you deem correct. The Solution section should be logical, accurate, and concise "
    "and detail necessary steps needed to reach the conclusion. Now, try to solve the following "
    "question through the above guidelines:";

static const char math_system[] = "Your name is Phi, an AI math expert developed by Microsoft.";

static const char *const names[] = {
    [UPG_CHAT_PHI4] = "phi-4",
    [UPG_CHAT_PHI4_FIRST_RELEASE] = "phi-4-first-release",
    [UPG_CHAT_PHI4_REASONING] = "phi-4-reasoning",
    [UPG_CHAT_PHI4_MINI] = "phi-4-mini",
    [UPG_CHAT_PHI4_MINI_REASONING] = "phi-4-mini-reasoning",
    [UPG_CHAT_CHATML] = "chatml",
};

enum { N_KINDS = sizeof names / sizeof names[0] };

const char *upg_chat_name(enum upg_chat_kind kind)
{
    return names[kind];
}

enum upg_chat_kind upg_chat_find(const char *name)
{
    for (int kind = UPG_CHAT_NONE + 1; kind < N_KINDS; kind++)
        if (strcmp(names[kind], name) == 0)
            return (enum upg_chat_kind)kind;
    return UPG_CHAT_NONE;
}

const char *upg_chat_system(const struct upg_chat_template *chat)
{
    if (chat->system)
        return chat->system;
    if (chat->kind == UPG_CHAT_PHI4_REASONING)
        return reasoning_system;
    return chat->kind == UPG_CHAT_PHI4_MINI_REASONING ? math_system : NULL;
}

/* A part of the prompt that came from the template. */
struct literal {
    size_t begin, end;
};

struct rendering {
    struct upg_buffer text;
    struct literal *literals; /* [n_literals] in order, not touching each other */
    size_t n_literals, capacity;
    upg_status status; /* of the first thing that failed; later writes do nothing */
    upg_error *err;
};

static void write_text(struct rendering *rendering, const char *text)
{
    if (rendering->status == UPG_OK)
        rendering->status = upg_buffer_append(&rendering->text, text, strlen(text), rendering->err);
}

static void write_literal(struct rendering *rendering, const char *text)
{
    const size_t begin = rendering->text.n;

    write_text(rendering, text);
    if (rendering->n_literals > 0 && rendering->literals[rendering->n_literals - 1].end == begin) {
        rendering->literals[rendering->n_literals - 1].end = rendering->text.n;
        return;
    }
    if (rendering->n_literals == rendering->capacity) {
        const size_t capacity = rendering->capacity ? 2 * rendering->capacity : 16;
        struct literal *grown = NULL;
        size_t n_bytes;
        if (size_mul(capacity, sizeof *grown, &n_bytes))
            grown = realloc(rendering->literals, n_bytes);
        if (!grown) {
            rendering->status = upg_fail_memory(rendering->err, "a prompt", capacity);
            return;
        }
        rendering->literals = grown;
        rendering->capacity = capacity;
    }
    rendering->literals[rendering->n_literals++] = (struct literal){begin, rendering->text.n};
}

static bool has_role(const upg_message *message, const char *role)
{
    return strcmp(message->role, role) == 0;
}

/* phi-4: roles that the template does not know are dropped. */
static void write_phi4_turn(struct rendering *rendering, const upg_message *message)
{
    if (!has_role(message, "system") && !has_role(message, "user") &&
        !has_role(message, "assistant"))
        return;
    write_literal(rendering, "<|im_start|>");
    write_literal(rendering, message->role);
    write_literal(rendering, "<|im_sep|>");
    write_text(rendering, message->content);
    write_literal(rendering, "<|im_end|>");
}

static void render_phi4(struct rendering *rendering, const upg_message *messages, size_t n,
                        bool prompt)
{
    for (size_t i = 0; i < n; i++)
        write_phi4_turn(rendering, &messages[i]);
    if (prompt)
        write_literal(rendering, "<|im_start|>assistant<|im_sep|>");
}

/* The first upload of phi-4: the prompt for an answer is part of every user turn. */
static void render_phi4_first(struct rendering *rendering, const upg_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (has_role(&messages[i], "assistant")) {
            write_text(rendering, messages[i].content);
            write_literal(rendering, "<|im_end|>");
            continue;
        }
        write_phi4_turn(rendering, &messages[i]);
        if (has_role(&messages[i], "user"))
            write_literal(rendering, "<|im_start|>assistant<|im_sep|>");
    }
}

/* phi-4-reasoning: one fixed system text; system messages of the caller are dropped. */
static void render_reasoning(struct rendering *rendering, const char *system,
                             const upg_message *messages, size_t n, bool prompt)
{
    write_literal(rendering, "<|im_start|>system<|im_sep|>");
    write_literal(rendering, system);
    write_literal(rendering, "<|im_end|>");
    for (size_t i = 0; i < n; i++)
        if (!has_role(&messages[i], "system"))
            write_phi4_turn(rendering, &messages[i]);
    if (prompt)
        write_literal(rendering, "<|im_start|>assistant<|im_sep|>");
}

static void write_tools(struct rendering *rendering, const upg_message *message)
{
    if (!message->tools || !has_role(message, "system"))
        return;
    write_literal(rendering, "<|tool|>");
    write_text(rendering, message->tools);
    write_literal(rendering, "<|/tool|>");
}

static void write_mini_turn(struct rendering *rendering, const upg_message *message)
{
    write_literal(rendering, "<|");
    write_literal(rendering, message->role);
    write_literal(rendering, "|>");
    write_text(rendering, message->content);
    write_tools(rendering, message);
    write_literal(rendering, "<|end|>");
}

static void write_mini_end(struct rendering *rendering, bool prompt)
{
    write_literal(rendering, prompt ? "<|assistant|>" : "<|endoftext|>");
}

static void render_mini(struct rendering *rendering, const upg_message *messages, size_t n,
                        bool prompt)
{
    for (size_t i = 0; i < n; i++)
        write_mini_turn(rendering, &messages[i]);
    write_mini_end(rendering, prompt);
}

/* phi-4-mini-reasoning: one system turn in front, to which all system messages are added. */
static void render_mini_reasoning(struct rendering *rendering, const upg_message *messages,
                                  size_t n, bool prompt)
{
    write_literal(rendering, "<|system|>");
    write_literal(rendering, math_system);
    for (size_t i = 0; i < n; i++) {
        if (!has_role(&messages[i], "system"))
            continue;
        write_literal(rendering, " ");
        write_text(rendering, messages[i].content);
        write_tools(rendering, &messages[i]);
    }
    write_literal(rendering, "<|end|>");
    for (size_t i = 0; i < n; i++)
        if (!has_role(&messages[i], "system"))
            write_mini_turn(rendering, &messages[i]);
    write_mini_end(rendering, prompt);
}

static void render_chatml(struct rendering *rendering, const char *system,
                          const upg_message *messages, size_t n, bool prompt)
{
    if (system && n > 0 && !has_role(&messages[0], "system")) {
        write_literal(rendering, "<|im_start|>system\n");
        write_literal(rendering, system);
        write_literal(rendering, "<|im_end|>\n");
    }
    for (size_t i = 0; i < n; i++) {
        write_literal(rendering, "<|im_start|>");
        write_literal(rendering, messages[i].role);
        write_literal(rendering, "\n");
        write_text(rendering, messages[i].content);
        write_literal(rendering, "<|im_end|>\n");
    }
    if (prompt)
        write_literal(rendering, "<|im_start|>assistant\n");
}

static void render(struct rendering *rendering, const struct upg_chat_template *chat,
                   const upg_message *messages, size_t n, bool prompt)
{
    const char *system = upg_chat_system(chat);

    switch (chat->kind) {
    case UPG_CHAT_NONE: break;
    case UPG_CHAT_PHI4: render_phi4(rendering, messages, n, prompt); break;
    case UPG_CHAT_PHI4_FIRST_RELEASE: render_phi4_first(rendering, messages, n); break;
    case UPG_CHAT_PHI4_REASONING: render_reasoning(rendering, system, messages, n, prompt); break;
    case UPG_CHAT_PHI4_MINI: render_mini(rendering, messages, n, prompt); break;
    case UPG_CHAT_PHI4_MINI_REASONING: render_mini_reasoning(rendering, messages, n, prompt); break;
    case UPG_CHAT_CHATML: render_chatml(rendering, system, messages, n, prompt); break;
    }
}

/* A role becomes part of the template's own text, so it must not be able to write a control token.
 */
static upg_status check_messages(const upg_message *messages, size_t n, upg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *role = messages[i].role;
        if (!role || !messages[i].content)
            return upg_fail(err, UPG_ERR_ARGUMENT, "messages[%zu]: has no role or no content", i);
        if (*role == '\0' || role[strspn(role, "abcdefghijklmnopqrstuvwxyz_-")] != '\0')
            return upg_fail(err, UPG_ERR_ARGUMENT,
                            "messages[%zu].role: \"%.40s\" is no role; use system, user, assistant "
                            "or tool",
                            i, role);
    }
    return UPG_OK;
}

/* true if some added token would be matched outside the template's literals. */
static bool contents_name_tokens(const upg_tokenizer *tokenizer, const struct rendering *rendering)
{
    struct upg_added_match match = {.end = 0};
    size_t i = 0;

    while (upg_added_next(&tokenizer->added, rendering->text.bytes, match.end, rendering->text.n,
                          &match)) {
        while (i < rendering->n_literals && rendering->literals[i].end < match.end)
            i++;
        if (i == rendering->n_literals || rendering->literals[i].begin > match.begin)
            return true;
    }
    return false;
}

/* Only literals are searched for control tokens, and all else is taken as it is, white space beside
 * control tokens too. */
static upg_status encode_literally(const upg_tokenizer *tokenizer,
                                   const struct rendering *rendering, upg_tokens *tokens,
                                   upg_error *err)
{
    const char *text = rendering->text.bytes;
    size_t begin = 0; /* of the text that is not encoded yet */
    upg_status status = UPG_OK;

    for (size_t i = 0; i < rendering->n_literals; i++) {
        const size_t end = rendering->literals[i].end;
        struct upg_added_match match = {.end = rendering->literals[i].begin};
        while (status == UPG_OK &&
               upg_added_next(&tokenizer->added, text, match.end, end, &match)) {
            status = upg_tokenize(tokenizer, text + begin, match.begin - begin, UPG_TEXT_PLAIN,
                                  tokens, err);
            if (status == UPG_OK)
                status = upg_tokens_append(tokens, &match.token->id, 1, err);
            begin = match.end;
        }
    }
    if (status == UPG_OK)
        status = upg_tokenize(tokenizer, text + begin, rendering->text.n - begin, UPG_TEXT_PLAIN,
                              tokens, err);
    return status;
}

/* Conversations that name no token get exactly the ids that Hugging Face gives for the prompt,
 * stripped white space included: what the model was trained and measured with.  Where contents do
 * name tokens, that reading would obey them, and the literal one is used. */
static upg_status encode(const upg_tokenizer *tokenizer, const struct rendering *rendering,
                         upg_tokens *tokens, upg_error *err)
{
    const size_t n_before = tokens->n;
    upg_status status;

    if (rendering->text.n == 0)
        return UPG_OK;
    if (!contents_name_tokens(tokenizer, rendering))
        return upg_tokenize(tokenizer, rendering->text.bytes, rendering->text.n,
                            UPG_TEXT_PARSE_SPECIAL, tokens, err);
    status = encode_literally(tokenizer, rendering, tokens, err);
    if (status != UPG_OK)
        tokens->n = n_before;
    return status;
}

upg_status upg_chat_render(const upg_tokenizer *tokenizer, const upg_message *messages,
                           size_t n_messages, int add_generation_prompt, upg_tokens *tokens,
                           char **prompt, upg_error *err)
{
    struct rendering rendering = {.err = err};
    upg_status status = check_messages(messages, n_messages, err);

    if (status != UPG_OK)
        return status;
    if (tokenizer->chat.kind == UPG_CHAT_NONE)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "chat template: the model has none, or one that upg does not know; give "
                        "the prompt as plain text");
    write_literal(&rendering, ""); /* so that an empty conversation has a text */
    render(&rendering, &tokenizer->chat, messages, n_messages, add_generation_prompt != 0);
    status = rendering.status;
    if (status == UPG_OK)
        status = encode(tokenizer, &rendering, tokens, err);
    if (status == UPG_OK && prompt) {
        *prompt = rendering.text.bytes;
        rendering.text.bytes = NULL;
    }
    upg_buffer_clear(&rendering.text);
    free(rendering.literals);
    return status;
}

void upg_free(void *memory)
{
    free(memory);
}
