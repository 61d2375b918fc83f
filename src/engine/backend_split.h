/* backend_split.h -- two backends for one model: one has the first layers, the other the rest. */
#ifndef UPG_ENGINE_BACKEND_SPLIT_H
#define UPG_ENGINE_BACKEND_SPLIT_H

#include "engine/backend.h"

/* The embedding and the layers in front of first_layer are `front`'s, the others and the head
 * `rest`'s.  rest was made with this first_layer in its setup and has resume(); activations are its
 * new_rows(), which front reads and writes as memory.  Lives in the arena.  UPG_ERR_MEMORY. */
upg_status upg_backend_split(struct upg_backend *backend, const struct upg_backend *front,
                             const struct upg_backend *rest, const struct upg_model *model,
                             size_t first_layer, struct upg_arena *arena, upg_error *err);

#endif
