/* chat_jinja.c -- chat templates for others to run.
 *
 * The texts are written for this project; they render the same bytes as chat.c does. */
#include "text/chat.h"

#include <string.h>

#define PROMPT                                                                                     \
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant<|im_sep|>' }}{%- endif -%}"
#define PHI4_TURN "{{ '<|im_start|>' ~ m.role ~ '<|im_sep|>' ~ m.content ~ '<|im_end|>' }}"
#define TOOLS                                                                                      \
    "{%- if m.role == 'system' and m.tools is defined and m.tools is not none -%}"                 \
    "{{ '<|tool|>' ~ m.tools ~ '<|/tool|>' }}{%- endif -%}"
#define MINI_TURN "{{ '<|' ~ m.role ~ '|>' ~ m.content }}" TOOLS "{{ '<|end|>' }}"
#define MINI_END "{{ '<|assistant|>' if add_generation_prompt else '<|endoftext|>' }}"

/* The system text that the template brings stands between before and after. */
static const struct {
    const char *before, *after;
} templates[] = {
    [UPG_CHAT_PHI4] = {"{%- for m in messages if m.role in ['system', 'user', 'assistant'] "
                       "-%}" PHI4_TURN "{%- endfor -%}" PROMPT,
                       NULL},
    [UPG_CHAT_PHI4_FIRST_RELEASE] =
        {"{%- for m in messages -%}{%- if m.role == 'assistant' -%}{{ m.content ~ '<|im_end|>' }}"
         "{%- elif m.role in ['system', 'user'] -%}" PHI4_TURN "{%- if m.role == 'user' -%}"
         "{{ '<|im_start|>assistant<|im_sep|>' }}{%- endif -%}{%- endif -%}{%- endfor -%}",
         NULL},
    [UPG_CHAT_PHI4_REASONING] = {"{{ '<|im_start|>system<|im_sep|>",
                                 "<|im_end|>' }}{%- for m in messages if m.role in ['user', "
                                 "'assistant'] -%}" PHI4_TURN "{%- endfor -%}" PROMPT},
    [UPG_CHAT_PHI4_MINI] = {"{%- for m in messages -%}" MINI_TURN "{%- endfor -%}" MINI_END, NULL},
    [UPG_CHAT_PHI4_MINI_REASONING] =
        {"{{ '<|system|>",
         "' }}{%- for m in messages if m.role == 'system' -%}{{ ' ' ~ m.content }}" TOOLS
         "{%- endfor -%}{{ '<|end|>' }}{%- for m in messages if m.role != 'system' -%}" MINI_TURN
         "{%- endfor -%}" MINI_END},
    [UPG_CHAT_CHATML] =
        {"{%- if messages and messages[0].role != 'system' -%}{{ '<|im_start|>system\\n",
         "<|im_end|>\\n' }}{%- endif -%}{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ "
         "'\\n' "
         "~ m.content ~ '<|im_end|>\\n' }}{%- endfor -%}{%- if add_generation_prompt -%}"
         "{{ '<|im_start|>assistant\\n' }}{%- endif -%}"},
};

/* ChatML without a system text of its own. */
static const char plain_chatml[] =
    "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\\n' ~ m.content ~ '<|im_end|>\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

/* Append a text as it stands inside quotes. */
static upg_status append_quoted(struct upg_buffer *out, const char *text, upg_error *err)
{
    upg_status status = UPG_OK;

    for (; *text && status == UPG_OK; text++) {
        const char *escape = *text == '\n' ? "\\n" : *text == '\\' ? "\\\\" : "\\'";
        if (*text == '\n' || *text == '\\' || *text == '\'')
            status = upg_buffer_append(out, escape, 2, err);
        else
            status = upg_buffer_append(out, text, 1, err);
    }
    return status;
}

upg_status upg_chat_write_jinja(const struct upg_chat_template *chat, struct upg_buffer *out,
                                upg_error *err)
{
    const char *system = upg_chat_system(chat);
    const char *before = templates[chat->kind].before, *after = templates[chat->kind].after;
    upg_status status;

    if (chat->kind == UPG_CHAT_CHATML && !system)
        return upg_buffer_append(out, plain_chatml, strlen(plain_chatml), err);
    status = upg_buffer_append(out, before, strlen(before), err);
    if (status == UPG_OK && after)
        status = append_quoted(out, system, err);
    if (status == UPG_OK && after)
        status = upg_buffer_append(out, after, strlen(after), err);
    return status;
}
