/* transfer.c -- a few connections, each fetching one range after the other.
 *
 * A range that fails in a way that may pass (a dropped line, 408, 429, 5xx) is asked for again from
 * the byte where it stopped, after as long as the server asked for (Retry-After) or 1, 2, 4, ...
 * seconds.  Bytes that came reset the patience: a bad line gets through in the end. */
#include "pull/transfer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CONNECTIONS = 4,
    MAX_TRIES = 6,  /* in a row without a byte */
    MAX_WAIT = 300, /* seconds that a server may ask for */
    MAX_DOCUMENT = 64 << 20,
    STALLED_SECONDS = 30 /* without a byte: the line is dead */
};

/* A connection and the range that it fetches. */
struct lane {
    struct transfers *all;
    CURL *curl;
    bool is_active, is_ranged;
    const char *url;
    struct part *part; /* NULL: a document */
    size_t chunk;
    uint64_t begin;
    size_t length, n_got; /* of the range */
    size_t got_before;    /* n_got when this try began */
    int n_tries;
    double not_before; /* seconds of the monotonic clock */
    char *document;
    upg_error failure; /* noticed within a callback */
    char curl_message[CURL_ERROR_SIZE];
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *context)
{
    struct lane *lane = context;
    long code = 0;

    (void)one;
    curl_easy_getinfo(lane->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206)
        return n; /* the text of a refusal */
    if ((code == 206) != lane->is_ranged) {
        upg_fail(&lane->failure, UPG_ERR_IO, "%s: the server does not give parts of files",
                 lane->url);
        return 0;
    }
    if (n > lane->length - lane->n_got) {
        upg_fail(&lane->failure, UPG_ERR_FORMAT,
                 "%s: more bytes came than the %zu that the hub announced", lane->url,
                 lane->length);
        return 0;
    }
    if (lane->part) {
        if (part_write(lane->part, lane->begin + lane->n_got, bytes, n, &lane->failure) != UPG_OK)
            return 0;
        lane->all->n_done += n;
        lane->all->n_received += n;
    } else {
        memcpy(lane->document + lane->n_got, bytes, n);
    }
    lane->n_got += n;
    return n;
}

static upg_status lane_open(struct lane *lane, struct transfers *all, const char *url,
                            struct part *part, upg_error *err)
{
    CURL *curl = curl_easy_init();

    *lane = (struct lane){.all = all, .curl = curl, .url = url, .part = part};
    if (!curl)
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a connection");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, lane);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "upg");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, lane);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, lane->curl_message);
    if (all->token) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, all->token);
    }
    return UPG_OK;
}

static void start_range(struct lane *lane, CURLM *multi)
{
    char range[64];

    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)(lane->begin + lane->n_got),
             (unsigned long long)(lane->begin + lane->length - 1));
    lane->is_ranged = lane->part && (lane->part->n_chunks > 1 || lane->n_got > 0);
    curl_easy_setopt(lane->curl, CURLOPT_RANGE, lane->is_ranged ? range : NULL);
    lane->curl_message[0] = 0;
    lane->got_before = lane->n_got;
    lane->is_active = true;
    curl_multi_add_handle(multi, lane->curl);
}

static upg_status refuse(const struct lane *lane, long code, upg_error *err)
{
    const char *what = code == 401   ? "the hub wants a token; set HF_TOKEN, and check the name"
                       : code == 403 ? "the hub denies access; accept the model's terms on its page"
                       : code == 404 ? "the hub does not have it; check the name"
                       : code == 429 ? "the hub is busy; try again later"
                                     : "the hub refused";

    return upg_fail(err, UPG_ERR_IO, "%s: %s (HTTP %ld)", lane->url, what, code);
}

static bool may_pass(CURLcode result, long code)
{
    if (result == CURLE_OK)
        return code == 408 || code == 429 || code >= 500;
    return result != CURLE_COULDNT_RESOLVE_HOST && result != CURLE_URL_MALFORMAT &&
           result != CURLE_UNSUPPORTED_PROTOCOL && result != CURLE_TOO_MANY_REDIRECTS &&
           result != CURLE_PEER_FAILED_VERIFICATION && result != CURLE_OUT_OF_MEMORY;
}

/* A try has ended.  *is_whole: all bytes of the range are there.  If they are not and the status is
 * OK, it is to be tried again at not_before. */
static upg_status end_try(struct lane *lane, CURLcode result, bool *is_whole, upg_error *err)
{
    long code = 0;
    curl_off_t wait = 0;

    *is_whole = false;
    lane->is_active = false;
    curl_easy_getinfo(lane->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(lane->curl, CURLINFO_RETRY_AFTER, &wait);
    if (lane->failure.status != UPG_OK)
        return upg_fail(err, lane->failure.status, "%s", lane->failure.message);
    if (result == CURLE_OK && (code == 200 || code == 206)) {
        *is_whole = !lane->part || lane->n_got == lane->length;
        if (*is_whole)
            return UPG_OK;
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %zu bytes came, the hub announced %zu", lane->url,
                        lane->n_got, lane->length);
    }
    lane->n_tries = lane->n_got > lane->got_before ? 1 : lane->n_tries + 1;
    if (!may_pass(result, code) || lane->n_tries >= MAX_TRIES || wait > MAX_WAIT) {
        if (result == CURLE_OK)
            return refuse(lane, code, err);
        return upg_fail(err, UPG_ERR_IO, "%s: %s (try %d)", lane->url,
                        *lane->curl_message ? lane->curl_message : curl_easy_strerror(result),
                        lane->n_tries);
    }
    lane->not_before = now() + (wait > 0 ? (double)wait : 0.25 * (double)(1 << lane->n_tries));
    return UPG_OK;
}

/* Next missing chunk that no lane has; n_chunks if there is none. */
static size_t next_chunk(const struct part *part, size_t *cursor)
{
    while (*cursor < part->n_chunks && part->has[*cursor])
        ++*cursor;
    return *cursor < part->n_chunks ? (*cursor)++ : part->n_chunks;
}

static bool lane_takes(struct lane *lane, size_t *cursor)
{
    const size_t chunk = next_chunk(lane->part, cursor);

    if (chunk == lane->part->n_chunks)
        return false;
    lane->chunk = chunk;
    lane->begin = part_begin(chunk);
    lane->length = part_length(lane->part, chunk);
    lane->n_got = 0;
    lane->n_tries = 0;
    lane->not_before = 0;
    return true;
}

static upg_status tell_progress(const struct transfers *all, upg_error *err)
{
    if (all->progress &&
        all->progress(all->progress_context, "download", all->n_done, all->n_total))
        return upg_fail(err, UPG_ERR_CANCELLED, "cancelled; the same command goes on from here");
    return UPG_OK;
}

/* What a lane does when its try has ended; *is_done: it has nothing left to do. */
static upg_status go_on(struct lane *lane, CURLcode result, size_t *cursor, bool *is_done,
                        upg_error *err)
{
    bool is_whole;
    upg_status status = end_try(lane, result, &is_whole, err);

    if (status != UPG_OK || !is_whole)
        return status;
    if (lane->part)
        status = part_have(lane->part, lane->chunk, err);
    *is_done = !lane->part || !lane_takes(lane, cursor);
    return status;
}

/* Run lanes until none has anything to do. */
static upg_status run_lanes(struct lane *lanes, size_t n_lanes, size_t *cursor, upg_error *err)
{
    struct transfers *all = lanes[0].all;
    CURLM *multi = curl_multi_init();
    bool done[CONNECTIONS] = {false};
    size_t n_left = n_lanes;
    upg_status status =
        multi ? UPG_OK : upg_fail(err, UPG_ERR_MEMORY, "out of memory: connections");

    while (status == UPG_OK && n_left > 0) {
        const CURLMsg *message;
        int n_running, n_messages;

        for (size_t i = 0; i < n_lanes; i++)
            if (!done[i] && !lanes[i].is_active && now() >= lanes[i].not_before)
                start_range(&lanes[i], multi);
        curl_multi_perform(multi, &n_running);
        while (status == UPG_OK && (message = curl_multi_info_read(multi, &n_messages))) {
            CURL *const curl = message->easy_handle;
            const CURLcode result = message->data.result;
            size_t i = 0;

            while (lanes[i].curl != curl)
                i++;
            curl_multi_remove_handle(multi, curl);
            status = go_on(&lanes[i], result, cursor, &done[i], err);
            n_left -= done[i];
        }
        if (status == UPG_OK)
            status = tell_progress(all, err);
        if (status == UPG_OK && n_left > 0)
            curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    for (size_t i = 0; multi && i < n_lanes; i++)
        if (lanes[i].is_active)
            curl_multi_remove_handle(multi, lanes[i].curl);
    curl_multi_cleanup(multi);
    return status;
}

upg_status transfer_document(struct transfers *transfers, const char *url, char **text, size_t *n,
                             upg_error *err)
{
    struct lane lane;
    size_t cursor = 0;
    upg_status status = lane_open(&lane, transfers, url, NULL, err);

    if (status != UPG_OK)
        return status;
    lane.length = MAX_DOCUMENT;
    lane.document = malloc(MAX_DOCUMENT + 1);
    if (!lane.document)
        status = upg_fail_memory(err, "a document", MAX_DOCUMENT);
    else
        status = run_lanes(&lane, 1, &cursor, err);
    curl_easy_cleanup(lane.curl);
    if (status != UPG_OK) {
        free(lane.document);
        return status;
    }
    lane.document[lane.n_got] = 0;
    *text = lane.document;
    *n = lane.n_got;
    return UPG_OK;
}

upg_status transfer_file(struct transfers *transfers, const char *url, struct part *part,
                         upg_error *err)
{
    struct lane lanes[CONNECTIONS];
    size_t n_lanes = 0, cursor = 0;
    upg_status status = UPG_OK;

    while (status == UPG_OK && n_lanes < CONNECTIONS && n_lanes < part->n_missing) {
        status = lane_open(&lanes[n_lanes], transfers, url, part, err);
        n_lanes += status == UPG_OK && lane_takes(&lanes[n_lanes], &cursor);
    }
    if (status == UPG_OK && n_lanes > 0)
        status = run_lanes(lanes, n_lanes, &cursor, err);
    for (size_t i = 0; i < n_lanes; i++)
        curl_easy_cleanup(lanes[i].curl);
    return status;
}
