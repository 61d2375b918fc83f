/* embed.h -- a file's bytes inside the library.
 *
 * The assembler copies the file in: a C array of 25 MB would take minutes to compile.  UPG_EMBED
 * defines two arrays, NAME and NAME_end, hidden and aligned to 64 bytes; PATH is a string literal.
 */
#ifndef UPG_BASE_EMBED_H
#define UPG_BASE_EMBED_H

#include <stdint.h>

#ifdef __APPLE__
#define UPG_EMBED_BEGIN ".section __TEXT,__const\n"
#define UPG_EMBED_LABEL(name) ".private_extern _" name "\n.globl _" name "\n_" name ":\n"
#define UPG_EMBED_END ".text\n"
#else
#define UPG_EMBED_BEGIN ".section .rodata\n"
#define UPG_EMBED_LABEL(name) ".hidden " name "\n.globl " name "\n" name ":\n"
#define UPG_EMBED_END ".previous\n"
#endif

#define UPG_EMBED(name, path)                                                                      \
    __asm__(UPG_EMBED_BEGIN ".p2align 6\n" UPG_EMBED_LABEL(                                        \
        #name) ".incbin \"" path "\"\n" UPG_EMBED_LABEL(#name "_end") ".byte 0\n" UPG_EMBED_END);  \
    extern const uint8_t name[], name##_end[]

#endif
