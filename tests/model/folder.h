/* folder.h -- a temporary folder of a test, as a cmocka fixture: setup, teardown, files in it. */
#ifndef UPG_TESTS_MODEL_FOLDER_H
#define UPG_TESTS_MODEL_FOLDER_H

#include <stddef.h>

enum { FOLDER_PATH = 256 };

/* *state becomes the folder's path, a C string. */
int folder_setup(void **state);
int folder_teardown(void **state);

#define folder_test(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

/* folder/name in out[FOLDER_PATH]; returns out. */
const char *folder_path(char *out, const char *folder, const char *name);

void folder_write(const char *folder, const char *name, const void *bytes, size_t n);
void folder_write_text(const char *folder, const char *name, const char *text);

/* Read a whole file into heap memory aligned to 64; the caller frees it. */
unsigned char *folder_read(const char *path, size_t *n);

/* Remove all files in the folder. */
void folder_empty(const char *folder);

#endif
