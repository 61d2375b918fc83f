/* pack_model MODEL OUT.upg: any model that upg opens as a .upg file, with the types that it has. */
#include "model/upg_writer.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    upg_model *model = NULL;
    json_t *sources = NULL, *provenance = NULL;
    upg_error err;
    upg_status status;

    if (argc != 3) {
        fputs("usage: pack_model MODEL OUT.upg\n", stderr);
        return 2;
    }
    status = upg_model_open(&model, argv[1], NULL, &err);
    if (status == UPG_OK)
        status = upg_model_sources(model, &sources, NULL, &err);
    if (status == UPG_OK) {
        provenance = json_pack("{s:s, s:O}", "command", "pack_model", "sources", sources);
        status = upg_model_write(model, argv[2], provenance, NULL, NULL, &err);
    }
    if (status != UPG_OK)
        fprintf(stderr, "pack_model: %s\n", err.message);
    json_decref(sources);
    json_decref(provenance);
    upg_model_free(model);
    return status == UPG_OK ? 0 : 1;
}
