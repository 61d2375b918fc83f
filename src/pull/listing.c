/* listing.c -- reading and choosing files of a repository. */
#include "pull/listing.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

/* A relative path of parts that are not empty, ".", "..", and hold nothing unusual. */
static bool is_safe_name(const char *name)
{
    const char *part = name;

    if (strlen(name) > 512)
        return false;
    for (const char *c = name;; c++) {
        if (*c == '/' || *c == 0) {
            const size_t n = (size_t)(c - part);

            if (n == 0 || (n == 1 && part[0] == '.') ||
                (n == 2 && part[0] == '.' && part[1] == '.'))
                return false;
            part = c + 1;
        } else if ((unsigned char)*c < 0x20 || *c == '\\' || *c == 0x7f) {
            return false;
        }
        if (*c == 0)
            return true;
    }
}

/* Copy so many hexadecimal digits; false if the text is something else. */
static bool copy_digits(char *to, const char *text, size_t n)
{
    if (!text || strlen(text) != n || strspn(text, "0123456789abcdef") != n)
        return false;
    memcpy(to, text, n + 1);
    return true;
}

static upg_status parse_file(struct listed_file *file, const json_t *json, const char *where,
                             upg_error *err)
{
    const json_t *lfs = json_object_get(json, "lfs");
    const char *name;
    size_t n_bytes;
    upg_status status = upg_json_get_text(json, where, "rfilename", &name, err);

    if (status != UPG_OK)
        return status;
    if (!is_safe_name(name))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: '%s' is no name of a file that could be written",
                        where, name);
    status = upg_json_get_size(json, where, "size", 0, (size_t)1 << 52, &n_bytes, err);
    if (status != UPG_OK)
        return status;
    file->n_bytes = n_bytes;
    file->is_large = json_is_object(lfs);
    if (!(file->is_large
              ? copy_digits(file->hash, json_string_value(json_object_get(lfs, "sha256")),
                            SHA256_DIGITS)
              : copy_digits(file->hash, json_string_value(json_object_get(json, "blobId")),
                            SHA1_DIGITS)))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s has no hash that could be checked", where,
                        name);
    file->name = strdup(name);
    return file->name ? UPG_OK : upg_fail_memory(err, "a file's name", strlen(name));
}

upg_status listing_parse(struct listing *listing, const char *where, const char *text, size_t n,
                         upg_error *err)
{
    json_t *root = NULL;
    const json_t *siblings;
    upg_status status = upg_json_parse(&root, where, text, n, err);

    *listing = (struct listing){0};
    if (status != UPG_OK)
        return status;
    siblings = json_object_get(root, "siblings");
    if (!copy_digits(listing->commit, json_string_value(json_object_get(root, "sha")),
                     SHA1_DIGITS) ||
        !json_is_array(siblings)) {
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: 'sha' or 'siblings' is missing; is this a hub?",
                          where);
        goto done;
    }
    listing->files = calloc(json_array_size(siblings) + 1, sizeof *listing->files);
    if (!listing->files) {
        status = upg_fail_memory(err, "a list of files", json_array_size(siblings));
        goto done;
    }
    for (size_t i = 0; status == UPG_OK && i < json_array_size(siblings); i++)
        status = parse_file(&listing->files[listing->n_files++], json_array_get(siblings, i), where,
                            err);
done:
    json_decref(root);
    return status;
}

void listing_clear(struct listing *listing)
{
    for (size_t i = 0; i < listing->n_files; i++)
        free(listing->files[i].name);
    free(listing->files);
    *listing = (struct listing){0};
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool has_kind(const struct listing *listing, const char *end)
{
    for (size_t i = 0; i < listing->n_files; i++)
        if (ends_with(listing->files[i].name, end))
            return true;
    return false;
}

static bool is_named(const char *name, char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static upg_status check_names(const struct listing *listing, char *const *names, size_t n_names,
                              const char *where, upg_error *err)
{
    for (size_t i = 0; i < n_names; i++) {
        size_t j = 0;

        while (j < listing->n_files && strcmp(listing->files[j].name, names[i]) != 0)
            j++;
        if (j == listing->n_files)
            return upg_fail(err, UPG_ERR_ARGUMENT, "%s: has no file '%s'", where, names[i]);
    }
    return UPG_OK;
}

upg_status listing_choose(struct listing *listing, char *const *names, size_t n_names,
                          const char *where, upg_error *err)
{
    const char *weights = has_kind(listing, ".safetensors") ? ".safetensors"
                          : has_kind(listing, ".upg")       ? ".upg"
                                                            : ".gguf";
    size_t n_kept = 0;
    const upg_status status = check_names(listing, names, n_names, where, err);

    if (status != UPG_OK)
        return status;
    for (size_t i = 0; i < listing->n_files; i++) {
        const char *name = listing->files[i].name;
        const bool keep = n_names > 0 ? is_named(name, names, n_names)
                                      : ends_with(name, weights) || ends_with(name, ".json") ||
                                            ends_with(name, ".txt") || ends_with(name, ".md");

        if (keep)
            listing->files[n_kept++] = listing->files[i];
        else
            free(listing->files[i].name);
    }
    listing->n_files = n_kept;
    if (n_kept == 0)
        return upg_fail(err, UPG_ERR_ARGUMENT, "%s: has no files of a model", where);
    return UPG_OK;
}
