/* open.h -- a model and an engine, opened as the settings say. */
#ifndef UPG_CLI_OPEN_H
#define UPG_CLI_OPEN_H

#include "cli/settings.h"

#include <stdbool.h>

/* Start from {0}; close with opened_close(). */
struct opened {
    upg_model *model;   /* owned */
    upg_engine *engine; /* owned; NULL until open_engine() */
    upg_model_info info;
    size_t context;      /* of the engine, tokens */
    double load_seconds; /* of everything opened so far */
};

/* Are progress bars wanted? */
bool wants_progress(const struct settings *settings);

/* path NULL: the embedded model. */
upg_status open_model(struct opened *opened, const char *path, const struct settings *settings,
                      upg_error *err);

/* The engine that settings ask for.  context 0: that of the model, at most 4096. */
upg_engine_options engine_options(const upg_model_info *info, size_t context,
                                  const struct settings *settings);

/* An engine with engine_options(). */
upg_status open_engine(struct opened *opened, size_t context, const struct settings *settings,
                       upg_error *err);

/* The model's tokenizer, borrowed; a directory may have none. */
upg_status require_tokenizer(const struct opened *opened, const upg_tokenizer **tokenizer,
                             upg_error *err);

void opened_close(struct opened *opened);

#endif
