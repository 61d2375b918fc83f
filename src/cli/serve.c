/* serve.c -- upg serve: a model behind HTTP, until a signal comes. */
#include "cli/commands.h"

#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/open.h"
#include "server/server.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the server borrows: keys and PEM files.  Start from {0}. */
struct secrets {
    struct text key_file, certificate, private_key;
    const char **keys; /* [n_keys], the array is owned */
    size_t n_keys;
};

static void secrets_clear(struct secrets *secrets)
{
    free(secrets->keys);
    text_clear(&secrets->key_file);
    text_clear(&secrets->certificate);
    text_clear(&secrets->private_key);
}

/* The keys of the command line, of the environment, and one from each line of the file. */
static upg_status collect_keys(struct secrets *secrets, const struct settings *settings,
                               upg_error *err)
{
    const char *of_environment = getenv("UPG_API_KEY");
    size_t n = settings->api_keys.n + 1;
    char *rest = secrets->key_file.bytes, *line;

    for (size_t i = 0; i < secrets->key_file.n; i++)
        n += secrets->key_file.bytes[i] == '\n';
    secrets->keys = calloc(n + 1, sizeof *secrets->keys);
    if (!secrets->keys)
        return fail_memory(err, "API keys");
    for (size_t i = 0; i < settings->api_keys.n; i++)
        secrets->keys[secrets->n_keys++] = settings->api_keys.texts[i];
    if (of_environment && of_environment[0] != '\0')
        secrets->keys[secrets->n_keys++] = of_environment;
    while (rest && (line = strsep(&rest, "\r\n")))
        if (line[0] != '\0')
            secrets->keys[secrets->n_keys++] = line;
    if (settings->api_key_file && secrets->n_keys == 0) /* rather than a server open to all */
        return fail(err, UPG_ERR_ARGUMENT, "%s: has no key in it", settings->api_key_file);
    return UPG_OK;
}

static upg_status read_secrets(struct secrets *secrets, const struct settings *settings,
                               upg_error *err)
{
    upg_status status = UPG_OK;

    if (settings->api_key_file)
        status = text_read(&secrets->key_file, settings->api_key_file, err);
    if (status == UPG_OK && settings->certificate_file)
        status = text_read(&secrets->certificate, settings->certificate_file, err);
    if (status == UPG_OK && settings->private_key_file)
        status = text_read(&secrets->private_key, settings->private_key_file, err);
    return status == UPG_OK ? collect_keys(secrets, settings, err) : status;
}

static upg_status open_scheduler(upg_scheduler **scheduler, const struct opened *opened,
                                 const struct settings *settings, upg_error *err)
{
    upg_scheduler_options options;

    upg_scheduler_options_defaults(&options);
    options.engine = engine_options(&opened->info, (size_t)settings->context, settings);
    options.engine.cache_tokens = (size_t)settings->cache_tokens;
    options.max_running = (size_t)settings->max_running;
    options.max_waiting = (size_t)settings->max_waiting;
    options.no_speculation = settings->no_speculation;
    options.no_prefix_cache = settings->no_prefix_cache;
    return upg_scheduler_new(scheduler, opened->model, &options, err);
}

/* A file that is not there yet, or is of no use, is no failure: it is written when the server ends. */
static void load_prefix_cache(upg_scheduler *scheduler, const char *path)
{
    upg_error err;

    if (path && access(path, F_OK) == 0 &&
        upg_scheduler_load_cache(scheduler, path, &err) != UPG_OK)
        note("%s; the prefix cache is empty at the start", err.message);
}

static void fill_options(struct server_options *options, const struct settings *settings,
                         const struct secrets *secrets)
{
    server_options_defaults(options);
    options->host = settings->host;
    options->port = (uint16_t)settings->port;
    options->model_name = settings->model_name;
    options->api_keys = secrets->keys;
    options->n_api_keys = secrets->n_keys;
    options->origins = settings->origins.texts;
    options->n_origins = settings->origins.n;
    options->host_names = settings->host_names.texts;
    options->n_host_names = settings->host_names.n;
    options->certificate = secrets->certificate.bytes;
    options->private_key = secrets->private_key.bytes;
    options->max_body_bytes = (size_t)settings->max_body_bytes;
    options->max_connections = (size_t)settings->max_connections;
    options->max_answer_tokens = (size_t)settings->max_tokens;
    options->request_timeout_s = (unsigned)settings->request_timeout;
    options->idle_timeout_s = (unsigned)settings->idle_timeout;
    options->page = !settings->no_page;
    options->log_json = settings->json != 0;
    options->log = settings->log_level != LOG_QUIET;
}

static void wait_for_signal(void)
{
    struct pollfd wake_up = {.fd = interrupt_fd(), .events = POLLIN};

    while (!interrupt_seen())
        poll(&wake_up, 1, -1);
}

static upg_status serve(const struct opened *opened, upg_scheduler *scheduler,
                        const struct settings *settings, const struct secrets *secrets,
                        upg_error *err)
{
    struct server_options options;
    struct server *server;
    upg_status status;

    fill_options(&options, settings, secrets);
    status = server_start(&server, opened->model, scheduler, &options, err);
    if (status != UPG_OK)
        return status;
    if (!settings->json && options.page)
        note("chat page: %s/  API: %s/v1  (Ctrl-C ends)", server_url(server), server_url(server));
    wait_for_signal();
    server_stop(server, (double)settings->grace);
    return UPG_OK;
}

upg_status serve_command(const struct settings *settings, upg_error *err)
{
    struct opened opened = {0};
    struct secrets secrets = {0};
    upg_scheduler *scheduler = NULL;
    const upg_tokenizer *tokenizer;
    upg_status status = read_secrets(&secrets, settings, err);

    interrupt_catch_termination();
    if (status == UPG_OK)
        status = open_model(&opened, settings->model, settings, err);
    if (status == UPG_OK)
        status = require_tokenizer(&opened, &tokenizer, err);
    if (status == UPG_OK)
        status = open_scheduler(&scheduler, &opened, settings, err);
    if (status == UPG_OK) {
        load_prefix_cache(scheduler, settings->prefix_cache_file);
        status = serve(&opened, scheduler, settings, &secrets, err);
    }
    if (status == UPG_OK && settings->prefix_cache_file)
        status = upg_scheduler_save_cache(scheduler, settings->prefix_cache_file, err);
    upg_scheduler_free(scheduler);
    opened_close(&opened);
    secrets_clear(&secrets);
    return status;
}
