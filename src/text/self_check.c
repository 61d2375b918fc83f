/* self_check.c -- do the vocabularies that upg knows give the ids that they are known to give?
 *
 * A file can pair a vocabulary with another one's pattern or with merges in another order.  Text
 * still comes out, and every number is a little off.  So the two vocabularies of the Phi-4 family,
 * recognised by the bytes of their tokens, are tried on a text of many scripts.  The ids are those
 * of Hugging Face tokenizers; tests/text/make_self_check.py prints them. */
#include "text/tokenizer.h"

#include <string.h>
#include <xxhash.h>

static const char text[] =
    "It's what I'LL say: don't STOP, HTTPServer2 getX aB ABcD naïve Straße ǅungla\n\n"
    "  if (x<=10) {\treturn 1234567/89;}  // see http://example.org/a//b\r\n\r\n"
    "   Привет, мир! Γειά σου Κόσμε שלום عليكم नमस्ते สวัสดีครับ 你好，世界。こんにちは 안녕하세요"
    " ½ ² Ⅷ ٣٤٥ 👍🏽👩‍💻 x'ſa ʰA  ";

static const int32_t cl100k_ids[] = {
    2181,  596,   1148,  358,   6,     4178,  2019,  25,    1541,  956,   46637, 11,    10339,
    5592,  17,    76756, 264,   33,    14469, 66,    35,    95980, 588,   27745, 24352, 220,
    131,   227,   2234,  4355,  271,   220,   422,   320,   87,    8367,  605,   8,     314,
    862,   220,   4513,  10961, 22,    14,    4578,  31131, 220,   443,   1518,  1795,  1129,
    8858,  2726,  14520, 322,   65,    881,   256,   80584, 28089, 8341,  11,    11562, 78746,
    0,     85316, 31243, 30862, 75234, 48823, 73986, 8008,  248,   76295, 45028, 44223, 31243,
    88898, 50391, 37769, 251,   45082, 8700,  14900, 32173, 10386, 15272, 101,   88344, 79468,
    31584, 97,    35470, 220,   36748, 38313, 24152, 36748, 38133, 29419, 41427, 23084, 84646,
    220,   57668, 53901, 3922,  3574,  244,   98220, 1811,  90115, 96270, 75265, 243,   92245,
    220,   27154, 220,   30556, 220,   71567, 100,   220,   149,   96,    149,   97,    149,
    98,    62904, 235,   9468,  237,   121,   9468,  239,   102,   378,   235,   93273, 119,
    865,   6,     129,   123,   64,    220,   134,   108,   32,    256};

static const int32_t o200k_ids[] = {
    15834, 1412,  3413,   7454,   2891,  25,    4128,   82926,  11,     21929,  6444,  17,
    717,   55,    261,    33,     16520, 66,    35,     153475, 737,    71184,  220,   131,
    227,   988,   1675,   279,    220,   538,   350,    87,     16672,  702,    8,     354,
    1393,  220,   7633,   19354,  22,    14,    7479,   65982,  220,    602,    1921,  3958,
    1684,  18582, 4519,   23839,  393,   65,    1414,   256,    14917,  131903, 11,    37934,
    0,     36907, 4969,   2132,   79060, 22134, 2097,   1168,   11702,  173283, 94785, 100793,
    14681, 628,   6152,   187986, 21883, 2293,  123723, 220,    177519, 979,    28428, 788,
    95839, 24497, 171731, 220,    27124, 220,   13848,  220,    25371,  100,    220,   81473,
    98713, 97336, 160433, 52622,  121,   28823, 102,    2524,   31446,  119,    1215,  6,
    70067, 64,    220,    134,    108,   32,    256};

struct known {
    const char *name;
    size_t n_base; /* base tokens */
    uint64_t hash; /* of them, see recognise() */
    const int32_t *ids;
    size_t n_ids;
};

static const struct known known[] = {
    {"cl100k (Phi-4)", 100256, 0xD22AC95E30426420, cl100k_ids,
     sizeof cl100k_ids / sizeof *cl100k_ids},
    {"o200k (Phi-4-mini)", 199998, 0x42DF77718E1D6577, o200k_ids,
     sizeof o200k_ids / sizeof *o200k_ids},
};

/* Base tokens are hashed in order of their ids, each with the hash of those before as seed. */
static const struct known *recognise(const upg_tokenizer *tokenizer)
{
    size_t n_base = 0;
    uint64_t hash = 0;

    for (size_t id = 0; id < tokenizer->n_ids; id++) {
        const struct upg_token *token = &tokenizer->tokens[id];
        if (!(token->kind & UPG_TOKEN_BASE))
            continue;
        hash = XXH3_64bits_withSeed(token->bytes, token->n, hash);
        n_base++;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].n_base == n_base && known[i].hash == hash)
            return &known[i];
    return NULL;
}

upg_status upg_tokenizer_self_check(const upg_tokenizer *tokenizer, const char *where,
                                    upg_error *err)
{
    const struct known *vocabulary = recognise(tokenizer);
    upg_tokens tokens = {0};
    upg_status status;
    size_t i = 0;

    if (!vocabulary)
        return UPG_OK;
    status = upg_tokenize(tokenizer, text, sizeof text - 1, UPG_TEXT_PLAIN, &tokens, err);
    while (i < tokens.n && i < vocabulary->n_ids && tokens.ids[i] == vocabulary->ids[i])
        i++;
    if (status == UPG_OK && (i < tokens.n || i < vocabulary->n_ids))
        status =
            upg_fail(err, UPG_ERR_FORMAT,
                     "%s: tokenizer: the vocabulary is that of %s, but with this file's merges "
                     "and pattern \"%s\" token %zu of a fixed text differs; use the model's "
                     "own tokenizer files",
                     where, vocabulary->name, tokenizer->pattern->name, i);
    upg_tokens_clear(&tokens);
    return status;
}
