/* JSON from strangers: limits, and getters that name the field. */
#include "unit.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static json_t *parse(const char *text)
{
    json_t *json = NULL;
    upg_error err;

    assert_ok(upg_json_parse(&json, "config.json", text, strlen(text), &err), err);
    return json;
}

static void refuse(const char *text, size_t n, const char *part)
{
    json_t *json = (json_t *)(uintptr_t)1;
    upg_error err;

    assert_fails(upg_json_parse(&json, "config.json", text, n, &err), UPG_ERR_FORMAT, err, part);
    assert_non_null(strstr(err.message, "config.json"));
    assert_true(json == (json_t *)(uintptr_t)1); /* outputs are untouched on failure */
}

static void nesting_has_a_limit_and_text_in_strings_does_not_count(void **state)
{
    char text[4 * UPG_JSON_MAX_DEPTH + 16];
    size_t n = 0;

    (void)state;
    memset(text, '[', UPG_JSON_MAX_DEPTH);
    memset(text + UPG_JSON_MAX_DEPTH, ']', UPG_JSON_MAX_DEPTH);
    text[2 * UPG_JSON_MAX_DEPTH] = '\0';
    json_decref(parse(text));

    memset(text, '[', UPG_JSON_MAX_DEPTH + 1);
    memset(text + UPG_JSON_MAX_DEPTH + 1, ']', UPG_JSON_MAX_DEPTH + 1);
    refuse(text, 2 * UPG_JSON_MAX_DEPTH + 2, "nests deeper than 64");

    text[n++] = '[';
    text[n++] = '"';
    text[n++] = '\\';
    text[n++] = '"';
    for (int i = 0; i < 2 * UPG_JSON_MAX_DEPTH; i++)
        text[n++] = '{';
    text[n++] = '"';
    text[n++] = ']';
    text[n] = '\0';
    json_decref(parse(text));
}

static void a_hundred_thousand_brackets_are_refused_quickly(void **state)
{
    const size_t n = 10 << 20;
    char *text = malloc(n);

    (void)state;
    assert_non_null(text);
    memset(text, '[', n);
    refuse(text, n, "nests deeper");
    free(text);
}

static void damage_is_refused(void **state)
{
    (void)state;
    refuse("", 0, "not valid JSON");
    refuse("{\"a\": 1", 7, "line 1");
    refuse("{\"a\": 1, \"a\": 2}", 16, "duplicate");
    refuse("{} x", 4, "not valid JSON");
    refuse("\"\xFF\"", 3, "not valid JSON");
    refuse("[1e999]", 7, "not valid JSON");
    refuse("[99999999999999999999]", 22, "not valid JSON");
    refuse("[NaN]", 5, "not valid JSON");
}

static void sizes_are_integers_in_their_range(void **state)
{
    json_t *json =
        parse("{\"n\": 12, \"negative\": -1, \"real\": 1.5, \"text\": \"12\", \"null\": null, "
              "\"large\": 9223372036854775807}");
    size_t value = 0;
    upg_error err;

    (void)state;
    assert_ok(upg_json_get_size(json, "f", "n", 12, 12, &value, &err), err);
    assert_int_equal(value, 12);
    assert_ok(upg_json_get_size(json, "f", "large", 0, SIZE_MAX, &value, &err), err);
    assert_true(value == 9223372036854775807u);
    assert_ok(upg_json_get_size_or(json, "f", "null", 1, 9, 99, &value, &err), err);
    assert_int_equal(value, 99);
    assert_ok(upg_json_get_size_or(json, "f", "absent", 1, 9, 98, &value, &err), err);
    assert_int_equal(value, 98);

    assert_fails(upg_json_get_size(json, "f", "n", 13, 20, &value, &err), UPG_ERR_FORMAT, err,
                 "f: n: is 12, must be 13 .. 20");
    assert_fails(upg_json_get_size(json, "f", "n", 0, 11, &value, &err), UPG_ERR_FORMAT, err, "12");
    assert_fails(upg_json_get_size(json, "f", "negative", 0, SIZE_MAX, &value, &err),
                 UPG_ERR_FORMAT, err, "-1");
    assert_fails(upg_json_get_size(json, "f", "real", 0, 9, &value, &err), UPG_ERR_FORMAT, err,
                 "f: real: must be an integer");
    assert_fails(upg_json_get_size_or(json, "f", "text", 0, 99, 1, &value, &err), UPG_ERR_FORMAT,
                 err, "must be an integer");
    assert_fails(upg_json_get_size(json, "f", "null", 0, 9, &value, &err), UPG_ERR_FORMAT, err,
                 "f: null: is missing");
    assert_fails(upg_json_get_size(json, "f", "absent", 0, 9, &value, &err), UPG_ERR_FORMAT, err,
                 "missing");
    assert_int_equal(value, 98);
    json_decref(json);
}

static void other_getters_check_type_and_range(void **state)
{
    json_t *json = parse("{\"d\": 0.5, \"i\": 3, \"b\": true, \"t\": \"text\", \"null\": null}");
    double number = 0;
    bool truth = false;
    const char *text = NULL;
    upg_error err;

    (void)state;
    assert_ok(upg_json_get_double_or(json, "f", "d", 0, 1, 7, &number, &err), err);
    assert_true(number == 0.5);
    assert_ok(upg_json_get_double_or(json, "f", "i", 0, 9, 7, &number, &err), err);
    assert_true(number == 3);
    assert_ok(upg_json_get_double_or(json, "f", "null", 0, 1, 7, &number, &err), err);
    assert_true(number == 7);
    assert_fails(upg_json_get_double_or(json, "f", "d", 1, 2, 7, &number, &err), UPG_ERR_FORMAT,
                 err, "f: d: is 0.5");
    assert_fails(upg_json_get_double_or(json, "f", "t", 1, 2, 7, &number, &err), UPG_ERR_FORMAT,
                 err, "must be a number");

    assert_ok(upg_json_get_bool_or(json, "f", "b", false, &truth, &err), err);
    assert_true(truth);
    assert_ok(upg_json_get_bool_or(json, "f", "absent", true, &truth, &err), err);
    assert_true(truth);
    assert_fails(upg_json_get_bool_or(json, "f", "i", true, &truth, &err), UPG_ERR_FORMAT, err,
                 "f: i: must be true or false");

    assert_ok(upg_json_get_text(json, "f", "t", &text, &err), err);
    assert_string_equal(text, "text");
    assert_fails(upg_json_get_text(json, "f", "i", &text, &err), UPG_ERR_FORMAT, err, "a string");
    assert_fails(upg_json_get_text(json, "f", "null", &text, &err), UPG_ERR_FORMAT, err, "missing");
    json_decref(json);
}

static void a_getter_on_something_else_than_an_object_says_missing(void **state)
{
    json_t *json = parse("[1]");
    size_t value;
    upg_error err;

    (void)state;
    assert_fails(upg_json_get_size(json, "f", "n", 0, 9, &value, &err), UPG_ERR_FORMAT, err, "n");
    json_decref(json);
}

static void a_file_that_is_missing_is_named(void **state)
{
    json_t *json = NULL;
    upg_error err;

    (void)state;
    assert_fails(upg_json_read(&json, "tests/base/none.json", &err), UPG_ERR_IO, err,
                 "tests/base/none.json: cannot open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_has_a_limit_and_text_in_strings_does_not_count),
        cmocka_unit_test(a_hundred_thousand_brackets_are_refused_quickly),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(sizes_are_integers_in_their_range),
        cmocka_unit_test(other_getters_check_type_and_range),
        cmocka_unit_test(a_getter_on_something_else_than_an_object_says_missing),
        cmocka_unit_test(a_file_that_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
