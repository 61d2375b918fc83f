/* check.h -- comparing the kernels of one tier with scalar; after the idea of dav1d's checkasm. */
#ifndef UPG_BENCH_CHECK_H
#define UPG_BENCH_CHECK_H

#include "base/random.h"
#include "kernels/kernels.h"

struct upg_check {
    const struct upg_kernels *kernels, *scalar;
    const char *kernel; /* name of the one under test */
    char where[200];    /* the case: sizes, data */
    char failure[512];  /* the first one */
    struct upg_random random;
    size_t percent; /* of the usual number of random cases: emulators are slow */
    int n_failures;
    bool no_memory;
};

/* Kinds of data. */
enum upg_check_data { DATA_RANDOM, DATA_ZERO, DATA_EXTREME, DATA_ALTERNATING, N_DATA };

/* Say which case comes; a fault is reported with it. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void upg_check_case(struct upg_check *check, const char *format, ...);

/* The case that was announced is wrong. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void upg_check_failed(struct upg_check *check, const char *format, ...);

/* How many of n random cases to run. */
size_t upg_check_count(const struct upg_check *check, size_t n);

const char *upg_check_data_name(enum upg_check_data data);

/* Uniform integer in [low, high]. */
int upg_check_int(struct upg_check *check, int low, int high);
void upg_check_bytes(struct upg_check *check, void *bytes, size_t n_bytes,
                     enum upg_check_data data);
/* Float32: uniform in [-1, 1]; 0; +-1e18 or +-1e-18 or 0; 1, -1, 1, ... */
void upg_check_floats(struct upg_check *check, float *values, size_t n, enum upg_check_data data);

/* Are n elements of both arrays the same bits?  If not, the first that differs is reported. */
bool upg_check_same(struct upg_check *check, const float *expected, const float *got, size_t n);

/* The list of kernels, upg_n_checks() of them. */
size_t upg_n_checks(void);
const char *upg_check_name(size_t i);

/* Has a tier a kernel i of its own, other than a lower tier's? */
bool upg_check_is_new(const struct upg_kernels *kernels, const struct upg_kernels *lower, size_t i);

/* Compare kernel i with scalar: begin, then run; what came out is in *check.  In between a program
 * may take care to come back from a fault. */
void upg_check_begin(struct upg_check *check, const struct upg_kernels *kernels,
                     const struct upg_kernels *scalar, size_t i, uint64_t seed, size_t percent);
void upg_check_run(struct upg_check *check, size_t i);

/* What upg_check_run() runs. */
void upg_check_matmul_f32(struct upg_check *check);
void upg_check_matmul_bf16(struct upg_check *check);
void upg_check_matmul_f16(struct upg_check *check);
void upg_check_matmul_i8_rows(struct upg_check *check);
void upg_check_rms_norm(struct upg_check *check);
void upg_check_silu_gate(struct upg_check *check);
void upg_check_running_softmax(struct upg_check *check);
void upg_check_scale_add(struct upg_check *check);
void upg_check_rotate_quantize(struct upg_check *check);
void upg_check_packed_matmul(struct upg_check *check);
void upg_check_transform_out(struct upg_check *check);
void upg_check_coded_keys(struct upg_check *check);
void upg_check_coded_values(struct upg_check *check);

#endif
