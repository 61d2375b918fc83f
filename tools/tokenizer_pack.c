/* tokenizer_pack MODEL > FILE: a model's tokenizer in the compact form of .upg files. */
#include "text/text.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct upg_buffer packed = {0};
    upg_tokenizer *tokenizer = NULL;
    upg_error err;
    upg_status status;

    if (argc != 2) {
        fputs("usage: tokenizer_pack MODEL > FILE\n", stderr);
        return 2;
    }
    status = upg_tokenizer_open(&tokenizer, argv[1], &err);
    if (status == UPG_OK)
        status = upg_tokenizer_pack(tokenizer, &packed, &err);
    if (status != UPG_OK)
        fprintf(stderr, "tokenizer_pack: %s\n", err.message);
    else if (fwrite(packed.bytes, 1, packed.n, stdout) != packed.n || fflush(stdout) != 0)
        status = UPG_ERR_IO;
    upg_buffer_clear(&packed);
    upg_tokenizer_free(tokenizer);
    return status == UPG_OK ? 0 : 1;
}
