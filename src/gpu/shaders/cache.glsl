/* cache.glsl -- how programs see keys and values.
 *
 * A layer of the cache is [block][key or value head][keys, then values]: a side.  It holds
 * [32 tokens][head_dim] values, two binary16 a word, or float32.
 *
 * Coded (Q8, Q4; src/engine/kv_codes.h): a side is codes [32 tokens][head_dim], then binary16 scales
 * [32 tokens][head_dim / 32].  A word has four or eight codes, the even columns in its low half, the odd
 * ones in its high half.  A row attends to the block that it lies in as if the
 * cache were binary16: this step's tokens are in the rows of qkv, those before it in the sequence's
 * open blocks, which hold words [key or value head][keys, values][32 tokens][head_dim / 2] one
 * after the other.
 *
 * Needs F16, Q8, Q4 or nothing (float32). */
struct Row {
    uint pos;
    uint list;      /* entry of lists[] with the sequence's block 0; in front are its open blocks */
    uint first_row; /* of the sequence in this step */
    uint end;       /* the sequence's tokens after this step */
};

const uint BLOCK = 32;

#if defined(Q8) || defined(Q4)
#define CODED
const uint GROUP = 32; /* values of a scale */
#endif

#if defined(Q4)
const uint EACH = 8; /* values of a word */
#elif defined(Q8)
const uint EACH = 4;
#elif defined(F16)
const uint EACH = 2;
#else
const uint EACH = 1;
#endif

/* Words of a side. */
uint side_words(uint head_dim)
{
#ifdef CODED
    return BLOCK * (head_dim / EACH + head_dim / GROUP / 2);
#else
    return BLOCK * head_dim / EACH;
#endif
}

#ifdef CODED
/* The lowest bit of a word's value e. */
uint place_of(uint e) { return e / 2 * (32 / EACH) + e % 2 * 16; }
#endif
