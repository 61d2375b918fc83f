/* train_code_tables.c -- search for the tables in src/codec/tables.c.
 *
 *     train_code_tables K [STARTS [SEED [MAP_A MAP_B]]]
 *
 * A code of K bits is two xor maps and two tables of 16 values.  For every choice of maps that the
 * encoder's trellis allows, tables are trained from many random starts: encode Gaussian samples
 * with the Viterbi search of the encoder, then move each table entry to where the squared error of
 * the samples that used it is least (generalized Lloyd algorithm; for trellis codes Stewart, Gray
 * and Linde 1982), and so on.  The best of them are trained on with more samples, the best of these
 * are shaken and trained again many times, keeping what is better.  The winner is rounded to integers whose sums are at most 63, and printed as a row
 * of tables.c, with its error in a search along whole rows.
 *
 * The same arguments give the same tables on every machine with the same libm: the search is in
 * integers, the sums are in one order.  MAP_A and MAP_B (numbers as in choose_map()) restrict the
 * search to one pair of maps. */
#include "base/arena.h"
#include "codec/gaussian.h"
#include "codec/trellis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_STEPS = 512,          /* of a search */
    N_LEAD = 16,            /* steps at its start and */
    N_TAIL = 48,            /* at its end that do not count: there it is freer than in a row */
    UNITS_PER_SIGMA = 8000, /* targets and levels, int16: about 20 table units of 400 */
    N_SAMPLES = 1 << 22     /* kept ready; searches take parts of them */
};

struct candidate {
    uint8_t xor_map[2][4];
    double table[2][16]; /* in units of sigma */
    double mse;
};

/* What a search needs.  pair_of[middle << k | old ^ way] is index_a | index_b << 4. */
struct trainer {
    int k, rate[2];
    const struct upg_viterbi *viterbi;
    int16_t *samples;    /* [N_SAMPLES] */
    uint16_t *cost;      /* [2, n_states, n_lanes] */
    uint16_t *decisions; /* [N_STEPS, n_states / 4, n_lanes] */
    struct upg_random random;
};

/* For each pair of table entries the samples that used it. */
struct usage {
    double n[256], sum[256];
};

static struct upg_code code_of(const struct trainer *trainer, const struct candidate *candidate)
{
    struct upg_code code = {.rate = {trainer->rate[0], trainer->rate[1]}};

    memcpy(code.xor_map, candidate->xor_map, sizeof code.xor_map);
    return code;
}

/* A trellis whose level i | j << 4 is the sum of entries i and j. */
static void build_trellis(const struct trainer *trainer, struct candidate *candidate,
                          struct upg_code *code, struct upg_trellis *trellis)
{
    uint8_t index_a[UPG_TRELLIS_STATES];

    *code = code_of(trainer, candidate);
    for (int i = 0; i < 16; i++)
        code->table[0][i] = (int8_t)i;
    upg_trellis_init(trellis, code);
    memcpy(index_a, trellis->value, sizeof index_a);
    for (int i = 0; i < 16; i++) {
        code->table[0][i] = 0;
        code->table[1][i] = (int8_t)i;
    }
    upg_trellis_init(trellis, code);
    trellis->n_levels = 256;
    for (size_t i = 0; i < trellis->n_states; i++)
        trellis->level_of[i] = (uint8_t)(index_a[i] | trellis->value[i] << 4);
    for (int pair = 0; pair < 256; pair++) {
        const double value = candidate->table[0][pair & 15] + candidate->table[1][pair >> 4];
        trellis->levels[pair] = (int16_t)lrint(fmax(-4, fmin(4, value)) * UNITS_PER_SIGMA);
    }
}

/* Encode n_lanes sequences from `targets` with free ends; add what they used. */
static void search(const struct trainer *trainer, const struct upg_trellis *trellis,
                   const int16_t *targets, struct usage *usage, double *squares)
{
    const size_t n_lanes = trainer->viterbi->n_lanes, n_states = trellis->n_states;
    const unsigned mask = (1U << trellis->k) - 1;

    for (size_t s = 0; s < n_states; s++)
        for (size_t lane = 0; lane < n_lanes; lane++)
            trainer->cost[s * n_lanes + lane] = (uint16_t)(s & mask);
    trainer->viterbi->run(trellis, targets, N_STEPS, trainer->cost, trainer->decisions);

    const uint16_t *cost = trainer->cost + N_STEPS % 2 * n_states * n_lanes;
    for (size_t lane = 0; lane < n_lanes; lane++) {
        unsigned state = 0;
        for (unsigned s = 1; s < n_states; s++)
            if ((cost[s * n_lanes + lane] | mask) < (cost[state * n_lanes + lane] | mask))
                state = s;
        for (size_t step = N_STEPS; step-- > N_LEAD;) {
            const unsigned slot = trellis->slot[state];
            const uint16_t *words = trainer->decisions + step * (n_states / 4) * n_lanes;
            const unsigned old = upg_trellis_old(trellis, slot, words[slot / 4 * n_lanes + lane]);
            const uint8_t pair = trellis->level_of[slot ^ old];
            if (step < N_STEPS - N_TAIL) {
                const double x = targets[step * n_lanes + lane];
                const double error = x - trellis->levels[pair];
                usage->n[pair] += 1;
                usage->sum[pair] += x / UNITS_PER_SIGMA;
                *squares += error * error;
            }
            state = upg_trellis_back(trellis, slot, old);
        }
    }
}

/* Encode about n samples; returns the mean squared error in units of sigma. */
static double measure(struct trainer *trainer, struct candidate *candidate, size_t n,
                      struct usage *usage)
{
    const size_t n_lanes = trainer->viterbi->n_lanes, batch = N_STEPS * n_lanes;
    struct upg_trellis trellis;
    struct upg_code code;
    double squares = 0, count = 0;

    memset(usage, 0, sizeof *usage);
    build_trellis(trainer, candidate, &code, &trellis);
    for (size_t done = 0; done < n; done += batch) {
        const size_t begin = upg_random_u64(&trainer->random) % (N_SAMPLES / batch) * batch;
        search(trainer, &trellis, trainer->samples + begin, usage, &squares);
    }
    for (int pair = 0; pair < 256; pair++)
        count += usage->n[pair];
    return squares / count / ((double)UNITS_PER_SIGMA * UNITS_PER_SIGMA);
}

/* Each entry of one table to the mean of what the other leaves, by turns. */
static void fit_tables(struct candidate *candidate, const struct usage *usage)
{
    for (int sweep = 0; sweep < 8; sweep++)
        for (int plane = 0; plane < 2; plane++) {
            double n[16] = {0}, sum[16] = {0};
            for (int pair = 0; pair < 256; pair++) {
                const int own = plane ? pair >> 4 : pair & 15,
                          other = plane ? pair & 15 : pair >> 4;
                n[own] += usage->n[pair];
                sum[own] += usage->sum[pair] - usage->n[pair] * candidate->table[!plane][other];
            }
            for (int i = 0; i < 16; i++)
                if (n[i] > 0)
                    candidate->table[plane][i] = sum[i] / n[i];
        }
}

/* Train for n_rounds; noise of the given size, falling to nothing, shakes the tables loose. */
static void train(struct trainer *trainer, struct candidate *candidate, int n_rounds, size_t n,
                  double noise)
{
    struct usage usage;

    for (int round = 0; round < n_rounds; round++) {
        const double left = noise * fmax(0, 1 - 2.0 * round / n_rounds);
        for (int i = 0; i < 32; i++)
            candidate->table[i / 16][i % 16] += left * gaussian(&trainer->random);
        candidate->mse = measure(trainer, candidate, n, &usage);
        fit_tables(candidate, &usage);
    }
}

static int by_error(const void *a, const void *b)
{
    const double x = ((const struct candidate *)a)->mse, y = ((const struct candidate *)b)->mse;

    return (x > y) - (x < y);
}

/* The xor maps of a plane that the encoder's trellis allows; false when there are no more.  Those
 * of rate 2 are permutations of 0..3 up to a renaming of the symbols (one of each cycle type). */
static bool choose_map(int rate, int number, uint8_t map[4])
{
    static const uint8_t permutations[3][4] = {{0, 3, 1, 2}, {0, 1, 3, 2}, {0, 1, 2, 3}};

    if (number >= (rate == 2 ? 3 : 16))
        return false;
    for (int x = 0; x < 4; x++)
        map[x] = rate == 2 ? permutations[number][x] : (uint8_t)(x >> 1 ^ (x & 1 ? number : 0));
    return true;
}

/* The error over the same samples each time, so that candidates can be compared. */
static double compare(struct trainer *trainer, struct candidate *candidate, size_t n)
{
    const struct upg_random random = trainer->random;
    struct usage usage;

    trainer->random.state = 1;
    const double mse = measure(trainer, candidate, n, &usage);
    trainer->random = random;
    return mse;
}

/* Leave the basin and look for a better one nearby, n_hops times; keep what is better. */
static void hop(struct trainer *trainer, struct candidate *candidate, int n_hops)
{
    static const double noise[] = {0.05, 0.1, 0.2};

    train(trainer, candidate, 10, 1 << 18, 0);
    candidate->mse = compare(trainer, candidate, 1 << 20);
    for (int i = 0; i < n_hops; i++) {
        struct candidate other = *candidate;
        train(trainer, &other, 16, 1 << 17, noise[i % 3]);
        other.mse = compare(trainer, &other, 1 << 20);
        if (other.mse < candidate->mse)
            *candidate = other;
    }
    train(trainer, candidate, 4, 1 << 21, 0);
    candidate->mse = compare(trainer, candidate, 1 << 21);
}

/* Train n_starts random tables for given maps; leave the best in *best if it beats it. */
static void try_maps(struct trainer *trainer, struct candidate *pool, size_t n_starts,
                     struct candidate *best)
{
    const size_t n_second = (n_starts + 9) / 10, n_third = (n_starts + 49) / 50;

    for (size_t i = 0; i < n_starts; i++) {
        for (int j = 0; j < 32; j++)
            pool[i].table[j / 16][j % 16] = gaussian(&trainer->random) * sqrt(0.5);
        train(trainer, &pool[i], 10, 1 << 15, 0);
    }
    qsort(pool, n_starts, sizeof *pool, by_error);
    for (size_t i = 0; i < n_second; i++)
        train(trainer, &pool[i], 30, 1 << 17, 0.03);
    qsort(pool, n_second, sizeof *pool, by_error);
    for (size_t i = 0; i < n_third; i++)
        hop(trainer, &pool[i], 60);
    qsort(pool, n_third, sizeof *pool, by_error);
    fprintf(stderr, "maps {%d %d %d %d} {%d %d %d %d}: %.6f\n", pool->xor_map[0][0],
            pool->xor_map[0][1], pool->xor_map[0][2], pool->xor_map[0][3], pool->xor_map[1][0],
            pool->xor_map[1][1], pool->xor_map[1][2], pool->xor_map[1][3], pool->mse);
    if (pool->mse < best->mse)
        *best = *pool;
}

/* Whether sums of the rounded entries keep within the limit. */
static bool fits(const struct candidate *candidate, double sigma)
{
    long largest[2] = {0}, least[2] = {0};

    for (int i = 0; i < 32; i++) {
        const long value = lrint(candidate->table[i / 16][i % 16] * sigma);
        largest[i / 16] = value > largest[i / 16] ? value : largest[i / 16];
        least[i / 16] = value < least[i / 16] ? value : least[i / 16];
    }
    return largest[0] + largest[1] <= UPG_WEIGHT_LIMIT && least[0] + least[1] >= -UPG_WEIGHT_LIMIT;
}

static struct candidate rounded(const struct candidate *candidate, double sigma)
{
    struct candidate result = *candidate;

    for (int i = 0; i < 32; i++) {
        double *entry = &result.table[i / 16][i % 16];
        *entry = (double)lrint(*entry * sigma) / sigma;
    }
    return result;
}

/* Round to integers on the best grid, then move single entries by one while that helps.  Returns
 * the grid's sigma. */
static double round_tables(struct trainer *trainer, struct candidate *best)
{
    const struct candidate exact = *best;
    double largest = 25, best_sigma = 0;

    while (!fits(&exact, largest))
        largest *= 0.999;
    best->mse = 1;
    for (int i = 0; i < 36; i++) {
        const double sigma = largest * pow(0.997, i);
        struct candidate other = rounded(&exact, sigma);
        other.mse = compare(trainer, &other, 1 << 20);
        if (fits(&exact, sigma) && other.mse < best->mse) {
            *best = other;
            best_sigma = sigma;
        }
    }
    for (int i = 0; i < 64; i++) {
        struct candidate other = *best;
        other.table[i / 32][i / 2 % 16] += (i % 2 ? 1 : -1) / best_sigma;
        other.mse = compare(trainer, &other, 1 << 20);
        if (fits(&other, best_sigma) && other.mse < best->mse)
            *best = other;
    }
    return best_sigma;
}

static void print_row(const struct candidate *candidate, double sigma)
{
    printf("     .xor_map = {{%d, %d, %d, %d}, {%d, %d, %d, %d}},\n     .table = {",
           candidate->xor_map[0][0], candidate->xor_map[0][1], candidate->xor_map[0][2],
           candidate->xor_map[0][3], candidate->xor_map[1][0], candidate->xor_map[1][1],
           candidate->xor_map[1][2], candidate->xor_map[1][3]);
    for (int i = 0; i < 32; i++)
        printf("%s%ld%s",
               i == 0    ? "{"
               : i == 16 ? "               {"
                         : ", ",
               lrint(candidate->table[i / 16][i % 16] * sigma),
               i == 15   ? "},\n"
               : i == 31 ? "}},\n"
                         : "");
    printf("     .sigma = %.2fF},\n", sigma);
}

static bool trainer_init(struct trainer *trainer, int k, uint64_t seed, struct upg_arena *arena)
{
    const size_t n_states = (size_t)4096 >> k;

    trainer->k = k;
    trainer->rate[0] = k == 2 ? 1 : 2;
    trainer->rate[1] = k - trainer->rate[0];
    trainer->random.state = seed;
    trainer->viterbi = upg_viterbi_avx512() ? upg_viterbi_avx512()
                       : upg_viterbi_avx2() ? upg_viterbi_avx2()
                                            : upg_viterbi_scalar();
    trainer->samples = upg_arena_alloc(arena, N_SAMPLES, sizeof *trainer->samples);
    trainer->cost = upg_arena_alloc(arena, 2 * n_states * trainer->viterbi->n_lanes, 2);
    trainer->decisions =
        upg_arena_alloc(arena, N_STEPS * n_states / 4 * trainer->viterbi->n_lanes, 2);
    if (!trainer->samples || !trainer->cost || !trainer->decisions)
        return false;
    for (size_t i = 0; i < N_SAMPLES; i++)
        trainer->samples[i] =
            (int16_t)lrint(fmax(-4, fmin(4, gaussian(&trainer->random))) * UNITS_PER_SIGMA);
    return true;
}

int main(int n_arguments, char **arguments)
{
    const int k = n_arguments > 1 ? (int)strtol(arguments[1], NULL, 10) : 0;
    const size_t n_starts = n_arguments > 2 ? strtoull(arguments[2], NULL, 10) : 100;
    const uint64_t seed = n_arguments > 3 ? strtoull(arguments[3], NULL, 10) : 1;
    struct upg_arena arena = {0};
    struct trainer trainer;
    struct candidate best = {.mse = 1};
    struct usage usage;

    if (k < 2 || k > 4 || n_starts == 0) {
        fputs("usage: train_code_tables K [STARTS [SEED [MAP_A MAP_B]]], K = 2, 3, 4\n", stderr);
        return 2;
    }
    struct candidate *pool = upg_arena_alloc(&arena, n_starts, sizeof *pool);
    if (!pool || !trainer_init(&trainer, k, seed, &arena)) {
        fputs("train_code_tables: out of memory\n", stderr);
        return 1;
    }
    const int only[2] = {n_arguments > 5 ? (int)strtol(arguments[4], NULL, 10) : -1,
                         n_arguments > 5 ? (int)strtol(arguments[5], NULL, 10) : -1};
    struct candidate maps;
    for (int a = 0; choose_map(trainer.rate[0], a, maps.xor_map[0]); a++)
        for (int b = trainer.rate[0] == trainer.rate[1] ? a : 0;
             choose_map(trainer.rate[1], b, maps.xor_map[1]); b++) {
            if (only[0] >= 0 && (a != only[0] || b != only[1]))
                continue;
            for (size_t i = 0; i < n_starts; i++)
                pool[i] = maps;
            try_maps(&trainer, pool, n_starts, &best);
        }
    const double sigma = round_tables(&trainer, &best);
    printf("/* k = %d: %.6f of the variance in free searches of %d steps */\n", k,
           measure(&trainer, &best, N_SAMPLES, &usage), N_STEPS);
    print_row(&best, sigma);
    upg_arena_clear(&arena);
    return 0;
}
