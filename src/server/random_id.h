/* random_id.h -- names that nobody guesses. */
#ifndef UPG_SERVER_RANDOM_ID_H
#define UPG_SERVER_RANDOM_ID_H

#include <stddef.h>
#include <stdint.h>

/* Random bits of the system. */
uint64_t random_number(void);

/* PREFIX and 24 hexadecimal digits, zero-terminated, cut to n bytes. */
void random_id(char *id, size_t n, const char *prefix);

#endif
