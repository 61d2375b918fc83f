/* read_json.c -- tokenizer.json of Hugging Face tokenizers.
 *
 * Published files differ in layout: merges are strings or pairs, added tokens are in the vocabulary
 * or only beside it, Split keeps matches under two names.  All that is read.  What would change ids
 * and is not done here (normalizers, prefix spaces, unknown patterns, byte fallback) is refused by
 * name. */
#include "base/json.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A field that upg can only take with its usual value: absent, null, false, or empty. */
static bool is_off(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));

    return type ? type : "(none)";
}

static bool has_type(const json_t *object, const char *type)
{
    return strcmp(type_of(object), type) == 0;
}

static upg_status check_model(const json_t *root, const char *where, upg_error *err)
{
    static const char *const off[] = {"continuing_subword_prefix", "end_of_word_suffix",
                                      "byte_fallback", "dropout"};
    const json_t *model = json_object_get(root, "model");
    const json_t *normalizer = json_object_get(root, "normalizer");

    if (!json_is_object(model) || !has_type(model, "BPE"))
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: model: type \"%s\"; upg reads BPE", where,
                        type_of(model));
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        if (!is_off(json_object_get(model, off[i])))
            return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: model.%s: is set; upg does not do this",
                            where, off[i]);
    if (!is_off(normalizer))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: normalizer: \"%s\"; upg reads tokenizers without one", where,
                        type_of(normalizer));
    return UPG_OK;
}

/* Steps of a pre-tokenizer, a Sequence flattened.  More than two are no pattern that upg knows. */
struct steps {
    const json_t *step[2];
    size_t n;
};

static void list_steps(const json_t *object, struct steps *steps)
{
    const json_t *list = json_object_get(object, "pretokenizers");
    size_t i;
    json_t *step;

    if (!has_type(object, "Sequence")) {
        steps->step[0] = object;
        steps->n = 1;
        return;
    }
    json_array_foreach(list, i, step)
    {
        if (i < 2)
            steps->step[i] = step;
    }
    steps->n = json_array_size(list);
}

/* The regex of a Split step that keeps all of the text; NULL if it does something else. */
static const json_t *split_regex(const json_t *step)
{
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    const bool invert = json_is_true(json_object_get(step, "invert"));

    if (!has_type(step, "Split") || !behavior)
        return NULL;
    if (strcmp(behavior, "Isolated") != 0 && !(invert && strcmp(behavior, "Removed") == 0))
        return NULL;
    return json_object_get(json_object_get(step, "pattern"), "Regex");
}

/* Each digit for itself: the step Digits, or a Split that says the same. */
static bool is_digits(const json_t *step)
{
    const char *regex = json_string_value(split_regex(step));

    if (has_type(step, "Digits"))
        return json_is_true(json_object_get(step, "individual_digits"));
    return regex && strcmp(regex, "\\p{N}") == 0;
}

static const struct upg_pattern *find_pattern(const struct steps *steps)
{
    const json_t *last = steps->step[steps->n - 1];
    const json_t *use_regex = json_object_get(last, "use_regex");
    const json_t *regex;

    if (!has_type(last, "ByteLevel"))
        return NULL;
    if (!json_is_false(use_regex)) { /* absent means true */
        if (steps->n == 1)
            return upg_pattern_of_form(UPG_PATTERN_BYTE_LEVEL);
        return is_digits(steps->step[0]) ? upg_pattern_of_form(UPG_PATTERN_DIGITS_BYTE_LEVEL)
                                         : NULL;
    }
    regex = steps->n == 2 ? split_regex(steps->step[0]) : NULL;
    return regex ? upg_pattern_of_regex(json_string_value(regex), json_string_length(regex)) : NULL;
}

static upg_status read_pattern(upg_tokenizer *tokenizer, const json_t *root, const char *where,
                               upg_error *err)
{
    const json_t *object = json_object_get(root, "pre_tokenizer");
    struct steps steps = {{NULL, NULL}, 0};
    char *text;

    list_steps(object, &steps);
    if (steps.n == 1 || steps.n == 2) {
        if (json_is_true(json_object_get(steps.step[steps.n - 1], "add_prefix_space")))
            return upg_fail(err, UPG_ERR_UNSUPPORTED,
                            "%s: pre_tokenizer: add_prefix_space is set; upg does not do this",
                            where);
        tokenizer->pattern = find_pattern(&steps);
    }
    if (tokenizer->pattern)
        return UPG_OK;
    text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
    upg_fail(err, UPG_ERR_UNSUPPORTED,
             "%s: pre_tokenizer: is none that upg knows, and another one would give other ids: %s",
             where, text ? text : "(none)");
    free(text);
    return UPG_ERR_UNSUPPORTED;
}

/* Ids of a vocabulary are nearly dense.  A file whose greatest id is far beyond the number of its
 * tokens would make us allocate by a number that it merely claims. */
static upg_status count_ids(const json_t *vocab, const json_t *added, const char *where,
                            size_t *n_ids, upg_error *err)
{
    const size_t max_ids = 2 * (json_object_size(vocab) + json_array_size(added)) + 1024;
    json_int_t greatest = -1;
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *)vocab, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: model.vocab: \"%.100s\": must be an id",
                            where, key);
        if (json_integer_value(value) > greatest)
            greatest = json_integer_value(value);
    }
    json_array_foreach(added, i, value)
    {
        const json_t *id = json_object_get(value, "id");
        if (!json_is_integer(id) || json_integer_value(id) < 0)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: added_tokens[%zu]: id: must be an id", where,
                            i);
        if (json_integer_value(id) > greatest)
            greatest = json_integer_value(id);
    }
    if (greatest < 0 || (size_t)greatest >= max_ids || greatest >= UPG_MAX_IDS)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: model.vocab: %zu tokens and the greatest id is %lld", where,
                        json_object_size(vocab), (long long)greatest);
    *n_ids = (size_t)greatest + 1;
    return UPG_OK;
}

static upg_status read_vocab(upg_tokenizer *tokenizer, const json_t *vocab, const char *where,
                             upg_error *err)
{
    upg_status status = UPG_OK;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)vocab, key, value)
    {
        status = upg_tokenizer_set_spelled(tokenizer, where, (size_t)json_integer_value(value), key,
                                           strlen(key), err);
        if (status != UPG_OK)
            break;
    }
    return status;
}

/* The token for bytes that have none.  Not in a published byte-level file so far, but legal. */
static upg_status read_unknown(upg_tokenizer *tokenizer, const json_t *model, const char *where,
                               upg_error *err)
{
    const json_t *unknown = json_object_get(model, "unk_token");
    const json_t *id;

    if (is_off(unknown))
        return UPG_OK;
    id = json_object_get(json_object_get(model, "vocab"), json_string_value(unknown));
    if (!json_is_integer(id))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: model.unk_token: is not in the vocabulary",
                        where);
    if (json_is_true(json_object_get(model, "fuse_unk")))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: model.fuse_unk: is set; upg does not do this", where);
    tokenizer->unknown_id = (int32_t)json_integer_value(id);
    return UPG_OK;
}

static upg_status read_added(upg_tokenizer *tokenizer, const json_t *list, const char *where,
                             upg_error *err)
{
    static const struct {
        const char *name;
        uint8_t flag;
    } flags[] = {{"special", UPG_ADDED_SPECIAL},
                 {"lstrip", UPG_ADDED_LSTRIP},
                 {"rstrip", UPG_ADDED_RSTRIP},
                 {"normalized", UPG_ADDED_NORMALIZED}};
    upg_status status = upg_tokenizer_reserve_added(tokenizer, json_array_size(list), err);
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item)
    {
        const json_t *content = json_object_get(item, "content");
        uint8_t set = 0;

        if (status != UPG_OK)
            return status;
        if (!json_is_string(content))
            return upg_fail(err, UPG_ERR_FORMAT, "%s: added_tokens[%zu]: content: must be a string",
                            where, i);
        if (json_is_true(json_object_get(item, "single_word")))
            return upg_fail(err, UPG_ERR_UNSUPPORTED,
                            "%s: added_tokens[%zu]: single_word is set; upg does not do this",
                            where, i);
        for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++)
            if (json_is_true(json_object_get(item, flags[f].name)))
                set |= flags[f].flag;
        status = upg_tokenizer_set_added(
            tokenizer, where, (size_t)json_integer_value(json_object_get(item, "id")),
            json_string_value(content), json_string_length(content), set, err);
    }
    return status;
}

/* "left right" or ["left", "right"]. */
static bool read_merge(const upg_tokenizer *tokenizer, const struct upg_token_index *index,
                       const json_t *item, struct upg_merge *merge)
{
    const json_t *left = json_array_get(item, 0), *right = json_array_get(item, 1);
    const struct upg_text_span text = {json_string_value(item), json_string_length(item)};
    const struct upg_text_span l = {json_string_value(left), json_string_length(left)};
    const struct upg_text_span r = {json_string_value(right), json_string_length(right)};

    if (text.text)
        return upg_merge_of_text(index, tokenizer, text, merge);
    return json_array_size(item) == 2 && l.text && r.text &&
           upg_merge_of_spellings(index, tokenizer, l, r, merge);
}

static upg_status read_merges(upg_tokenizer *tokenizer, const json_t *list, const char *where,
                              upg_error *err)
{
    struct upg_token_index index = {0};
    upg_status status = upg_token_index_init(&index, tokenizer, where, err);
    size_t i;
    json_t *item;

    tokenizer->merges =
        upg_arena_alloc(&tokenizer->arena, json_array_size(list), sizeof *tokenizer->merges);
    if (status == UPG_OK && !tokenizer->merges)
        status = upg_fail_memory(err, "the merges", json_array_size(list));
    json_array_foreach(list, i, item)
    {
        if (status != UPG_OK)
            break;
        if (!read_merge(tokenizer, &index, item, &tokenizer->merges[i]))
            status = upg_fail(err, UPG_ERR_FORMAT,
                              "%s: model.merges[%zu]: must be two tokens of the vocabulary that "
                              "together are a third",
                              where, i);
    }
    tokenizer->n_merges = json_array_size(list);
    upg_token_index_clear(&index);
    return status;
}

static upg_status read_tokenizer(upg_tokenizer **out, const json_t *root, const char *where,
                                 upg_error *err)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    const json_t *added = json_object_get(root, "added_tokens");
    upg_tokenizer *tokenizer;
    size_t n_ids = 0;
    upg_status status = check_model(root, where, err);

    if (status == UPG_OK && (!json_is_object(vocab) || !json_is_array(merges)))
        status =
            upg_fail(err, UPG_ERR_FORMAT,
                     "%s: model: must have an object \"vocab\" and an array \"merges\"", where);
    if (status == UPG_OK && added && !json_is_null(added) && !json_is_array(added))
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: added_tokens: must be an array", where);
    if (status == UPG_OK)
        status = count_ids(vocab, added, where, &n_ids, err);
    if (status != UPG_OK)
        return status;

    tokenizer = upg_tokenizer_new(n_ids);
    if (!tokenizer)
        return upg_fail_memory(err, "the vocabulary", n_ids);
    tokenizer->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    status = read_pattern(tokenizer, root, where, err);
    if (status == UPG_OK)
        status = read_vocab(tokenizer, vocab, where, err);
    if (status == UPG_OK)
        status = read_unknown(tokenizer, model, where, err);
    if (status == UPG_OK)
        status = read_merges(tokenizer, merges, where, err);
    if (status == UPG_OK)
        status = read_added(tokenizer, added, where, err);
    if (status == UPG_OK)
        status = upg_tokenizer_finish(tokenizer, where, err);
    if (status == UPG_OK)
        *out = tokenizer;
    else
        upg_tokenizer_free(tokenizer);
    return status;
}

/* The template of tokenizer_config.json: a string, or a list of named ones with a "default". */
static const json_t *find_template(const json_t *config)
{
    const json_t *chat = json_object_get(config, "chat_template");
    size_t i;
    json_t *item;

    json_array_foreach(chat, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_object_get(item, "template");
    }
    return json_is_string(chat) ? chat : NULL;
}

upg_status upg_tokenizer_from_json(upg_tokenizer **tokenizer, const char *where, const char *json,
                                   size_t n, const char *config_json, size_t n_config,
                                   const char *template_text, size_t n_template, upg_error *err)
{
    json_t *root = NULL, *config = NULL;
    upg_tokenizer *made = NULL;
    upg_status status = upg_json_parse(&root, where, json, n, err);

    if (status == UPG_OK)
        status = read_tokenizer(&made, root, where, err);
    json_decref(root);
    if (status == UPG_OK && config_json && !template_text) {
        const char *slash = strrchr(where, '/');
        char beside[sizeof err->message]; /* for messages */
        snprintf(beside, sizeof beside, "%.*stokenizer_config.json",
                 slash ? (int)(slash + 1 - where) : 0, where);
        status = upg_json_parse(&config, beside, config_json, n_config, err);
        template_text = json_string_value(find_template(config));
        n_template = json_string_length(find_template(config));
    }
    if (status == UPG_OK)
        status = upg_chat_detect(&made->chat, &made->added, template_text, n_template, err);
    json_decref(config);
    if (status == UPG_OK)
        *tokenizer = made;
    else
        upg_tokenizer_free(made);
    return status;
}
