/* messages.c -- reading and making JSON messages. */
#include "cli/messages.h"

#include "cli/json_output.h"
#include "cli/message.h"

#include <stdlib.h>
#include <string.h>

/* A string field of message number i.  The API takes C strings, so a zero byte cannot be in it. */
static upg_status get_text(const char **text, const json_t *message, size_t i, const char *key,
                           upg_error *err)
{
    const json_t *value = json_object_get(message, key);

    *text = json_string_value(value);
    if (!*text)
        return fail(err, UPG_ERR_FORMAT, "message %zu: '%s' is missing or no string", i, key);
    if (strlen(*text) != json_string_length(value))
        return fail(err, UPG_ERR_FORMAT, "message %zu: '%s' has a zero byte", i, key);
    return UPG_OK;
}

static upg_status get_message(upg_message *message, const json_t *object, size_t i, upg_error *err)
{
    upg_status status = get_text(&message->role, object, i, "role", err);

    if (status == UPG_OK)
        status = get_text(&message->content, object, i, "content", err);
    if (status == UPG_OK && !json_is_null(json_object_get(object, "tools")) &&
        json_object_get(object, "tools"))
        status = get_text(&message->tools, object, i, "tools", err);
    return status;
}

upg_status messages_of_json(upg_message **messages, size_t *n, const json_t *array, upg_error *err)
{
    const size_t n_messages = json_array_size(array);
    upg_message *list;
    upg_status status = UPG_OK;

    if (!json_is_array(array))
        return fail(err, UPG_ERR_FORMAT, "the messages are no JSON array");
    list = calloc(n_messages + 1, sizeof *list);
    if (!list)
        return fail_memory(err, "a list of messages");
    for (size_t i = 0; status == UPG_OK && i < n_messages; i++)
        status = get_message(&list[i], json_array_get(array, i), i, err);
    if (status != UPG_OK) {
        free(list);
        return status;
    }
    *messages = list;
    *n = n_messages;
    return UPG_OK;
}

json_t *messages_to_json(const upg_message *messages, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < n; i++) {
        json_t *message = json_pack("{s:o, s:o}", "role", json_c_text(messages[i].role), "content",
                                    json_c_text(messages[i].content));

        if (message && messages[i].tools &&
            json_object_set_new(message, "tools", json_c_text(messages[i].tools)) != 0) {
            json_decref(message);
            message = NULL;
        }
        if (json_array_append_new(array, message) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}
