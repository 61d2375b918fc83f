/* log.c -- lines for what happens. */
#include "server/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void write_time(char *text, size_t n)
{
    struct timespec now;
    struct tm parts;
    char seconds[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, n, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

/* key=value; values with anything special in them are quoted as JSON strings, so a client cannot
 * begin a line of its own. */
static void add_pair(struct text_buffer *line, const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII);
    const size_t n = text ? strlen(text) : 0;

    text_buffer_print(line, "%s%s=", line->n > 0 ? " " : "", key);
    if (n > 2 && json_is_string(value) && strcspn(text + 1, " =\"\\") == n - 2)
        text_buffer_add(line, text + 1, n - 2);
    else if (text)
        text_buffer_add(line, text, n);
    free(text);
}

void log_event(const struct server *server, const char *event, json_t *members)
{
    struct text_buffer line = {0};
    char now[64];
    json_t *object;
    const char *key;
    json_t *value;
    char *text;

    write_time(now, sizeof now);
    object = json_pack("{s:s, s:s}", "time", now, "event", event);
    if (object && members)
        json_object_update(object, members);
    json_decref(members);
    if (server->options.log_json) {
        text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII);
        text_buffer_add_text(&line, text ? text : "");
        free(text);
    } else {
        json_object_foreach(object, key, value)
        {
            add_pair(&line, key, value);
        }
    }
    json_decref(object);
    text_buffer_add_text(&line, "\n");
    /* At once, so that lines of several threads do not mix; a log that cannot be written is lost. */
    if (!line.failed && write(STDERR_FILENO, line.bytes, line.n) < 0)
        line.failed = true;
    text_buffer_clear(&line);
}

static void add_generation(json_t *members, const struct generation *generation)
{
    const upg_usage *first = &generation->choices[0].usage;

    json_object_set_new(members, "prompt_tokens",
                        json_integer((json_int_t)generation->n_prompt_tokens));
    json_object_set_new(members, "cached_tokens",
                        json_integer((json_int_t)generation_n_cached_tokens(generation)));
    json_object_set_new(members, "completion_tokens",
                        json_integer((json_int_t)generation_n_tokens(generation)));
    json_object_set_new(members, "wait_seconds", json_real(first->wait_seconds));
    json_object_set_new(members, "first_token_seconds",
                        json_real(first->wait_seconds + first->prompt_seconds));
}

void log_exchange(const struct exchange *exchange, bool is_complete)
{
    json_t *members;

    if (!exchange->server->options.log)
        return;
    members = json_pack("{s:s, s:s, s:s, s:i, s:b, s:f}", "id", exchange->id, "method",
                        exchange->method, "path", exchange->path, "status", exchange->status,
                        "complete", is_complete, "seconds", monotonic_seconds() - exchange->begun);
    if (members && exchange->generation && exchange->generation->n_choices > 0) {
        pthread_mutex_lock(&exchange->generation->lock);
        add_generation(members, exchange->generation);
        pthread_mutex_unlock(&exchange->generation->lock);
    }
    log_event(exchange->server, "request", members);
}
