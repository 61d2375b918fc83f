/* open.glsl -- where a sequence's exact tokens are (cache.glsl); needs lists[], n_open and block_words. */

/* Words of a row's open blocks in front of a token's keys (side 0) or values (1). */
uint open_word(uint kv_head, uint side, uint token, uint head_dim)
{
    return ((kv_head * 2 + side) * BLOCK + token) * (head_dim / 2);
}

/* The place of such a word in the cache. */
uint open_place(uint list, uint word)
{
    return lists[list - n_open + word / block_words] * block_words + word % block_words;
}
