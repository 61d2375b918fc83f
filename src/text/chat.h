/* chat.h -- chat templates: which one, and its fixed text.
 *
 * Templates in files are programs (Jinja).  upg runs none: it recognises the ones it knows by what
 * they contain (chat_detect.c) and renders them natively (chat.c). */
#ifndef UPG_TEXT_CHAT_H
#define UPG_TEXT_CHAT_H

#include "base/buffer.h"
#include "text/added.h"

enum upg_chat_kind {
    UPG_CHAT_NONE,
    UPG_CHAT_PHI4,
    UPG_CHAT_PHI4_FIRST_RELEASE,
    UPG_CHAT_PHI4_REASONING,
    UPG_CHAT_PHI4_MINI,
    UPG_CHAT_PHI4_MINI_REASONING,
    UPG_CHAT_CHATML
};

struct upg_chat_template {
    enum upg_chat_kind kind;
    char *system; /* owned C string: a system text that this file's template brings, where it is
                     another than upg_chat_system() has; NULL */
};

/* "phi-4", ...; NULL for UPG_CHAT_NONE. */
const char *upg_chat_name(enum upg_chat_kind kind);
enum upg_chat_kind upg_chat_find(const char *name); /* UPG_CHAT_NONE if there is no such name */

/* The system text that a template brings by itself; NULL if it has none. */
const char *upg_chat_system(const struct upg_chat_template *chat);

/* true if the vocabulary has the control tokens that templates of this kind write. */
bool upg_chat_has_tokens(enum upg_chat_kind kind, const struct upg_added_set *added);

/* Recognise a Jinja template.  jinja NULL: the file has none, and the control tokens of the Phi-4
 * family decide.  A template that is not known leaves kind UPG_CHAT_NONE: that is no error. */
upg_status upg_chat_detect(struct upg_chat_template *chat, const struct upg_added_set *added,
                           const char *jinja, size_t n, upg_error *err);

/* Append a Jinja template that renders what upg_chat_render() renders.  chat_jinja.c */
upg_status upg_chat_write_jinja(const struct upg_chat_template *chat, struct upg_buffer *out,
                                upg_error *err);

#endif
