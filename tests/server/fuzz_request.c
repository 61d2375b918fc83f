/* fuzz_request.c -- bodies of requests, and answers that may hold calls.
 *
 * The first byte chooses the endpoint, the rest is the body.  The same bytes are split as an answer,
 * in two pieces: whatever they are, text that is no call comes out as it went in. */
#include "server/calls.h"
#include "server/request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void collect(void *context, enum segment_kind kind, const char *bytes, size_t n)
{
    if (kind == SEGMENT_TEXT)
        text_buffer_add(context, bytes, n);
}

static void split(const char *bytes, size_t n)
{
    struct call_splitter splitter = {0};
    struct text_buffer text = {0};

    call_splitter_feed(&splitter, bytes, n / 2, collect, &text);
    call_splitter_feed(&splitter, bytes + n / 2, n - n / 2, collect, &text);
    call_splitter_end(&splitter, collect, &text);
    if (splitter.n_calls == 0 && (text.n != n || (n > 0 && memcmp(text.bytes, bytes, n) != 0)))
        abort();
    call_splitter_clear(&splitter);
    text_buffer_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct request request;
    struct api_error error = {0};

    if (n == 0)
        return 0;
    if (!request_parse(&request, (enum endpoint)(1U << data[0] % 6), (const char *)data + 1, n - 1,
                       &error) &&
        (error.http_status < 400 || error.message[0] == '\0'))
        abort(); /* a refusal says why */
    request_clear(&request);
    split((const char *)data + 1, n - 1);
    return 0;
}
