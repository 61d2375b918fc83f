#include "gpu/gpu_device.h"

#include <stdlib.h>

const char *test_gpu(void)
{
    const char *device = getenv("UPG_TEST_GPU");

    return device ? device : "gpu:0";
}
