/* pull.c -- from a name to a snapshot. */
#include "pull/pull.h"

#include "pull/listing.h"
#include "pull/place.h"
#include "pull/transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One or more of the characters that names on the hub have, not beginning with a dot or dash. */
static size_t name_part(const char *text)
{
    const size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.");

    return *text == '.' || *text == '-' ? 0 : n;
}

bool pull_is_name(const char *text)
{
    const size_t n = name_part(text), m = text[n] == '/' ? name_part(text + n + 1) : 0;

    return n > 0 && m > 0 && n < 97 && m < 97 && text[n + 1 + m] == 0;
}

struct pull {
    struct place place;
    const char *name, *revision;
    char *folder; /* of the repository in the cache */
    struct listing listing;
    struct transfers transfers;
};

static upg_status no_memory(upg_error *err)
{
    return upg_fail(err, UPG_ERR_MEMORY, "out of memory: names of files");
}

/* Text with everything escaped that a URL's path cannot hold; '/' stays. */
static char *escape_path(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = malloc(3 * strlen(text) + 1), *o = out;

    for (const char *c = text; out && *c; c++) {
        const unsigned char byte = (unsigned char)*c;

        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./~", *c)) {
            *o++ = *c;
        } else {
            *o++ = '%';
            *o++ = digits[byte >> 4];
            *o++ = digits[byte & 15];
        }
    }
    if (out)
        *o = 0;
    return out;
}

static upg_status read_listing(struct pull *pull, const struct pull_options *options,
                               upg_error *err)
{
    char *revision = escape_path(pull->revision), *text = NULL;
    char *url = revision ? print_text("%s/api/models/%s/revision/%s?blobs=true",
                                      pull->place.endpoint, pull->name, revision)
                         : NULL;
    size_t n;
    upg_status status =
        url ? transfer_document(&pull->transfers, url, &text, &n, err) : no_memory(err);

    if (status == UPG_OK)
        status = listing_parse(&pull->listing, url, text, n, err);
    if (status == UPG_OK)
        status = listing_choose(&pull->listing, options->files, options->n_files, pull->name, err);
    free(text);
    free(url);
    free(revision);
    return status;
}

static upg_status fetch_file(struct pull *pull, const struct listed_file *file, const char *blobs,
                             upg_error *err)
{
    struct part part;
    char *name = escape_path(file->name);
    char *url = name ? print_text("%s/%s/resolve/%s/%s", pull->place.endpoint, pull->name,
                                  pull->listing.commit, name)
                     : NULL;
    upg_status status = part_open(&part, file, blobs, err);

    if (status == UPG_OK && !url)
        status = no_memory(err);
    for (size_t chunk = 0; status == UPG_OK && chunk < part.n_chunks; chunk++)
        if (part.n_missing == 0 || part.has[chunk])
            pull->transfers.n_done += part_length(&part, chunk);
    if (status == UPG_OK)
        status = transfer_file(&pull->transfers, url, &part, err);
    if (status == UPG_OK)
        status = part_finish(&part, err);
    part_close(&part);
    free(url);
    free(name);
    return status;
}

/* snapshots/COMMIT/NAME -> ../../blobs/HASH, with a ".." more for each folder in NAME. */
static upg_status link_file(const struct pull *pull, const struct listed_file *file, upg_error *err)
{
    char *path = print_text("%s/snapshots/%s/%s", pull->folder, pull->listing.commit, file->name);
    char *target = print_text("../../blobs/%s", file->hash);
    upg_status status = path ? make_folders_above(path, err) : no_memory(err);

    for (const char *c = file->name; target && *c; c++)
        if (*c == '/') {
            char *longer = print_text("../%s", target);

            free(target);
            target = longer;
        }
    if (status == UPG_OK && !target)
        status = no_memory(err);
    if (status == UPG_OK && (unlink(path) == 0 || errno == ENOENT) && symlink(target, path) != 0)
        status = upg_fail_errno(err, path, "link");
    free(target);
    free(path);
    return status;
}

/* refs/REVISION holds the commit, unless the revision is one. */
static upg_status write_reference(const struct pull *pull, upg_error *err)
{
    char *path = print_text("%s/refs/%s", pull->folder, pull->revision);
    FILE *file = NULL;
    upg_status status = path ? UPG_OK : no_memory(err);

    if (status == UPG_OK && strcmp(pull->revision, pull->listing.commit) != 0) {
        status = make_folders_above(path, err);
        if (status == UPG_OK &&
            (!(file = fopen(path, "we")) || fputs(pull->listing.commit, file) == EOF))
            status = upg_fail_errno(err, path, "write");
        if (file && fclose(file) != 0 && status == UPG_OK)
            status = upg_fail_errno(err, path, "write");
    }
    free(path);
    return status;
}

static upg_status fetch_all(struct pull *pull, upg_error *err)
{
    char *blobs = print_text("%s/blobs", pull->folder);
    char *inside = print_text("%s/blobs/.", pull->folder);
    upg_status status = blobs && inside ? make_folders_above(inside, err) : no_memory(err);

    for (size_t i = 0; i < pull->listing.n_files; i++)
        pull->transfers.n_total += pull->listing.files[i].n_bytes;
    for (size_t i = 0; status == UPG_OK && i < pull->listing.n_files; i++) {
        status = fetch_file(pull, &pull->listing.files[i], blobs, err);
        if (status == UPG_OK)
            status = link_file(pull, &pull->listing.files[i], err);
    }
    free(blobs);
    free(inside);
    return status;
}

static upg_status check_name(const char *name, const char *revision, upg_error *err)
{
    if (!pull_is_name(name))
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "'%s' is no name on a hub; it is like microsoft/phi-4", name);
    if (name_part(revision) == 0 || strstr(revision, ".."))
        return upg_fail(err, UPG_ERR_ARGUMENT, "'%s' is no revision; it is like main or v1.0",
                        revision);
    return UPG_OK;
}

upg_status pull_repository(const char *name, const struct pull_options *options,
                           struct pull_result *result, upg_error *err)
{
    struct pull pull = {.name = name,
                        .revision = options->revision ? options->revision : "main",
                        .transfers = {.progress = options->progress,
                                      .progress_context = options->progress_context}};
    const char *slash = strchr(name, '/');
    upg_status status = check_name(name, pull.revision, err);

    if (status != UPG_OK)
        return status;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = place_find(&pull.place, err);
    if (status == UPG_OK) {
        pull.transfers.token = pull.place.token;
        pull.folder = print_text("%s/models--%.*s--%s", pull.place.cache, (int)(slash - name), name,
                                 slash + 1);
        status = pull.folder ? read_listing(&pull, options, err) : no_memory(err);
    }
    if (status == UPG_OK)
        status = fetch_all(&pull, err);
    if (status == UPG_OK)
        status = write_reference(&pull, err);
    if (status == UPG_OK) {
        *result = (struct pull_result){
            .folder = print_text("%s/snapshots/%s", pull.folder, pull.listing.commit),
            .n_files = pull.listing.n_files,
            .n_bytes = pull.transfers.n_total,
            .n_downloaded = pull.transfers.n_received};
        status = result->folder ? UPG_OK : no_memory(err);
    }
    listing_clear(&pull.listing);
    free(pull.folder);
    place_clear(&pull.place);
    curl_global_cleanup();
    return status;
}
