/* bench_kernels.h */
#ifndef UPG_CLI_BENCH_KERNELS_H
#define UPG_CLI_BENCH_KERNELS_H

#include "cli/settings.h"

/* UPG_ERR_INTERNAL if a kernel differs from its plain form. */
upg_status bench_kernels(const struct settings *settings, upg_error *err);

#endif
