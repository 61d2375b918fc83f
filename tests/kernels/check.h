/* check.h -- comparing the kernels of one tier with scalar; after the idea of dav1d's checkasm. */
#ifndef UPG_TESTS_CHECK_H
#define UPG_TESTS_CHECK_H

#include "base/random.h"
#include "kernels/kernels.h"

struct check {
    const struct upg_kernels *kernels, *scalar;
    const char *kernel; /* name of the one under test */
    char where[200];    /* the case: sizes, data */
    struct upg_random random;
    size_t percent; /* of the usual number of random cases: emulators are slow */
    int n_failures;
};

/* Kinds of data. */
enum data { DATA_RANDOM, DATA_ZERO, DATA_EXTREME, DATA_ALTERNATING, N_DATA };

/* Say which case comes; a fault is reported with it. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void check_case(struct check *check, const char *format, ...);

/* The case that was announced is wrong. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void check_failed(struct check *check, const char *format, ...);

/* How many of n random cases to run. */
size_t n_cases(const struct check *check, size_t n);

const char *data_name(enum data data);

/* Uniform integer in [low, high]. */
int random_int(struct check *check, int low, int high);
void fill_bytes(struct check *check, void *bytes, size_t n_bytes, enum data data);
/* Float32: uniform in [-1, 1]; 0; +-1e18 or +-1e-18 or 0; 1, -1, 1, ... */
void fill_floats(struct check *check, float *values, size_t n, enum data data);

/* Are n elements of both arrays the same bits?  If not, the first that differs is reported. */
bool same_floats(struct check *check, const float *expected, const float *got, size_t n);

/* The kernels, each compared with scalar. */
void check_matmul_f32(struct check *check);
void check_matmul_bf16(struct check *check);
void check_matmul_f16(struct check *check);
void check_matmul_i8_rows(struct check *check);
void check_rms_norm(struct check *check);
void check_silu_gate(struct check *check);
void check_rotate_quantize(struct check *check);
void check_packed_matmul(struct check *check);
void check_transform_out(struct check *check);
void check_coded_keys(struct check *check);
void check_coded_values(struct check *check);

/* Not compared with scalar: the ladder of tiers. */
int check_ladder(void);

#endif
