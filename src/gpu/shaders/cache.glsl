/* cache.glsl -- how programs see keys and values.
 *
 * A layer of the cache is [block][key or value head][keys, then values][32 tokens][head_dim]; the
 * values are two binary16 a word, or float32.  A row of the step knows the first entry of its
 * sequence's list of blocks. */
struct Row {
    uint pos;
    uint list; /* entry of lists[] with the sequence's block 0 */
};

const uint BLOCK = 32;

#ifdef F16
const uint EACH = 2; /* values of a word */
#else
const uint EACH = 1;
#endif
