/* system.h -- what the system says about itself and about this process. */
#ifndef UPG_CLI_SYSTEM_H
#define UPG_CLI_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* The processor's name, cut to n bytes; that of the architecture where the system tells no other. */
void cpu_name(char *name, size_t n);

/* Memory that is resident now, and the most that ever was; 0 where the system does not tell. */
uint64_t resident_bytes(void);
uint64_t most_resident_bytes(void);

#endif
