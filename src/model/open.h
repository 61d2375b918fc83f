/* open.h -- which reader a path needs. */
#ifndef UPG_MODEL_OPEN_H
#define UPG_MODEL_OPEN_H

#include "base/error.h"

enum upg_file_kind { UPG_FILE_DIRECTORY, UPG_FILE_GGUF, UPG_FILE_UPG };

/* A directory, a file that begins with "GGUF", or any other file.  UPG_ERR_IO. */
upg_status upg_file_kind_of(const char *path, enum upg_file_kind *kind, upg_error *err);

#endif
