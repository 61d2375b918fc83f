/* nearest.c -- which word was meant?
 *
 * The distance is the number of letters to insert, delete, replace or swap with their neighbour:
 * the restricted Damerau-Levenshtein distance (Damerau 1964; Wagner and Fischer 1974). */
#include "cli/parse.h"

#include <string.h>

enum { MAX_LETTERS = 40 }; /* longer words are nobody's misspelling */

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t least = a < b ? a : b;

    return least < c ? least : c;
}

static size_t distance(const char *a, const char *b)
{
    const size_t n_a = strlen(a), n_b = strlen(b);
    size_t cost[MAX_LETTERS + 1][MAX_LETTERS + 1]; /* of the first i letters of a, j of b */

    for (size_t i = 0; i <= n_a; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= n_b; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= n_a; i++)
        for (size_t j = 1; j <= n_b; j++) {
            const size_t differ = a[i - 1] != b[j - 1];

            cost[i][j] =
                smallest(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + differ);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                cost[i][j] > cost[i - 2][j - 2] + 1)
                cost[i][j] = cost[i - 2][j - 2] + 1;
        }
    return cost[n_a][n_b];
}

const char *nearest_word(const char *word, const void *words, size_t n_words,
                         const char *(*word_at)(const void *words, size_t i))
{
    const size_t n = strlen(word);
    const char *best = NULL;
    size_t best_distance = n / 3 + 2; /* further away is another word */

    if (n > MAX_LETTERS)
        return NULL;
    for (size_t i = 0; i < n_words; i++) {
        const char *candidate = word_at(words, i);
        const size_t d = strlen(candidate) <= MAX_LETTERS ? distance(word, candidate) : n;

        if (d < best_distance && d < strlen(candidate)) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}
