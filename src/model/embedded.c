/* embedded.c -- the default model inside the library, so that the program talks without a download.
 *
 * The assembler copies the file in; a C array of 25 MB would take minutes to compile. */
#include "model/model.h"

#ifdef UPG_EMBEDDED_PATH

#ifdef __APPLE__
#define SECTION ".section __TEXT,__const\n"
#define HIDDEN ".private_extern "
#define SYMBOL(name) "_" name
#define PREVIOUS ".text\n"
#else
#define SECTION ".section .rodata\n"
#define HIDDEN ".hidden "
#define SYMBOL(name) name
#define PREVIOUS ".previous\n"
#endif

__asm__(SECTION
        ".p2align 6\n" /* matrices are read as if the file were mapped at a page */
        ".globl " SYMBOL("upg_default_model") "\n" HIDDEN SYMBOL("upg_default_model") "\n" SYMBOL(
            "upg_default_model") ":\n"
                                 ".incbin \"" UPG_EMBEDDED_PATH "\"\n"
                                 ".globl " SYMBOL("upg_default_model_end") "\n" HIDDEN
                                     SYMBOL("upg_default_model_end") "\n" SYMBOL(
                                         "upg_default_model_end") ":\n"
                                                                  ".byte 0\n" PREVIOUS);

extern const uint8_t upg_default_model[], upg_default_model_end[];

const uint8_t *upg_embedded_model(size_t *n_bytes)
{
    *n_bytes = (size_t)(upg_default_model_end - upg_default_model);
    return upg_default_model;
}

#else

const uint8_t *upg_embedded_model(size_t *n_bytes)
{
    *n_bytes = 0;
    return NULL;
}

#endif
