/* exported.h -- the default model as a Hugging Face directory, as a fixture of a group of tests:
 * what the official implementation was given when it wrote the golden values. */
#ifndef UPG_TESTS_MODEL_EXPORTED_H
#define UPG_TESTS_MODEL_EXPORTED_H

/* *state becomes the directory's path, a C string. */
int exported_setup(void **state);
int exported_teardown(void **state);

#endif
