/* test_request.c -- bodies read by the table of fields. */
#include "unit.h"

#include "server/fields.h"
#include "server/request.h"

#include <string.h>

static void parse(struct request *request, enum endpoint endpoint, const char *body)
{
    struct api_error error = {0};

    if (!request_parse(request, endpoint, body, strlen(body), &error))
        fail_msg("%s: %s", body, error.message);
}

static void defaults_are_those_of_the_table(void **state)
{
    struct request request;

    (void)state;
    parse(&request, ENDPOINT_CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}");
    assert_int_equal(request.n_choices, 1);
    assert_true(request.temperature == 1 && request.top_p == 1 && request.repetition_penalty == 1);
    assert_true(request.parallel_tool_calls);
    assert_false(request.stream || request.has_seed || request.logprobs);
    assert_int_equal(request_max_tokens(&request), 0);
    request_clear(&request);
}

static void calls_of_functions_become_text(void **state)
{
    struct request request;

    (void)state;
    parse(&request, ENDPOINT_CHAT,
          "{\"messages\": [{\"role\": \"developer\", \"content\": [{\"type\": \"text\", \"text\": "
          "\"a\"},"
          "{\"type\": \"text\", \"text\": \"b\"}]}, {\"role\": \"assistant\", \"content\": null,"
          "\"tool_calls\": [{\"id\": \"1\", \"type\": \"function\", \"function\": {\"name\": \"f\","
          "\"arguments\": \"{\\\"x\\\": 1}\"}}]}, {\"role\": \"tool\", \"tool_call_id\": \"1\","
          "\"content\": \"done\"}]}");
    assert_int_equal(request.n_messages, 3);
    assert_string_equal(request.messages[0].role, "system");
    assert_string_equal(request.messages[0].content, "ab");
    assert_string_equal(request.messages[1].content,
                        "[{\"name\": \"f\", \"arguments\": {\"x\": 1}}]");
    assert_string_equal(request.messages[2].role, "tool");
    request_clear(&request);
}

static void bias_of_minus_100_bans(void **state)
{
    struct request request;

    (void)state;
    parse(&request, ENDPOINT_COMPLETIONS,
          "{\"prompt\": \"x\", \"logit_bias\": {\"7\": -100, \"8\": 1.5}}");
    assert_int_equal(request.n_biases, 2);
    assert_int_equal(request.biases[0].id, 7);
    assert_true(request.biases[0].bias < -1e30f);
    assert_true(request.biases[1].bias == 1.5f);
    request_clear(&request);
}

/* Each field of the table is found where it belongs and nowhere else, and its texts are complete. */
static void table_is_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_request_fields; i++) {
        const struct field *field = &request_fields[i];
        for (unsigned endpoint = 1; endpoint <= ENDPOINT_DETOKENIZE; endpoint *= 2) {
            const struct field *found = find_field((enum endpoint)endpoint, field->name);
            if (field->endpoints & endpoint)
                assert_ptr_equal(found, field); /* no name stands twice for one endpoint */
        }
        assert_true(field->kind != FIELD_PART || (field->read && field->schema && field->help));
        assert_true((field->kind != FIELD_COUNT && field->kind != FIELD_REAL) ||
                    (field->min < field->max && field->help));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(calls_of_functions_become_text),
        cmocka_unit_test(bias_of_minus_100_bans),
        cmocka_unit_test(table_is_consistent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
