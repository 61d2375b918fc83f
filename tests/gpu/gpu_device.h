/* gpu_device.h -- the device that tests compute on. */
#ifndef UPG_TESTS_GPU_DEVICE_H
#define UPG_TESTS_GPU_DEVICE_H

/* $UPG_TEST_GPU, or "gpu:0". */
const char *test_gpu(void);

#endif
