/* libfaults.c -- preloaded into a program, makes its n-th request to the system fail.
 *
 *   LD_PRELOAD=libfaults.so UPG_FAULT=memory:17 UPG_FAULT_REPORT=FILE upg ...
 *
 * UPG_FAULT is KIND:N (the N-th call of that kind fails, once) or KIND:N+ (so do all after it).
 * Kinds: memory  malloc, calloc, realloc, aligned_alloc, posix_memalign, anonymous mmap; ENOMEM
 *   input   open to read, fopen, read, pread, fstat, mmap of a file; EIO
 *   output  open to write, write, pwrite, fsync, rename; ENOSPC
 * Counting begins when main() does.  FILE is mapped and holds struct report, so its numbers survive
 * whatever end the program finds.  Memory that a program holds is counted too: n_live of a run that
 * failed and cleaned up is not above that of one that did not fail. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* glibc's allocator under the names that cannot be interposed. */
// NOLINTBEGIN(bugprone-reserved-identifier)
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
// NOLINTEND(bugprone-reserved-identifier)

enum kind { MEMORY, INPUT, OUTPUT, N_KINDS };

struct report {
    _Atomic int64_t n_calls;  /* of the kind asked for, since main() began */
    _Atomic int64_t n_failed; /* of these, made to fail */
    _Atomic int64_t n_live;   /* blocks of memory allocated and not freed since main() began */
};

static struct report unreported, *report = &unreported;
static enum kind fault_kind;
static int64_t fault_number;
static bool fault_persists;
static atomic_bool armed; /* between the beginning of main() and the end of the program */

static int (*real_main)(int, char **, char **);

/* True if this call is to fail; sets errno. */
static bool fails(enum kind kind)
{
    static const int codes[N_KINDS] = {ENOMEM, EIO, ENOSPC};
    int64_t number;

    if (!atomic_load(&armed) || kind != fault_kind)
        return false;
    number = atomic_fetch_add(&report->n_calls, 1) + 1;
    if (fault_number == 0 || number < fault_number || (number > fault_number && !fault_persists))
        return false;
    atomic_fetch_add(&report->n_failed, 1);
    errno = codes[kind];
    return true;
}

static void *counted(void *block)
{
    if (block && atomic_load(&armed))
        atomic_fetch_add(&report->n_live, 1);
    return block;
}

/* ---- memory ---- */

void *malloc(size_t n)
{
    return fails(MEMORY) ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return fails(MEMORY) ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *block, size_t n)
{
    if (fails(MEMORY))
        return NULL;
    return block ? __libc_realloc(block, n) : counted(__libc_malloc(n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails(MEMORY) ? NULL : counted(__libc_memalign(alignment, n));
}

int posix_memalign(void **block, size_t alignment, size_t n)
{
    void *memory = fails(MEMORY) ? NULL : counted(__libc_memalign(alignment, n));

    if (!memory)
        return ENOMEM;
    *block = memory;
    return 0;
}

void free(void *block)
{
    if (block && atomic_load(&armed))
        atomic_fetch_sub(&report->n_live, 1);
    __libc_free(block);
}

/* OpenBLAS asks again without end when it is refused memory: it is spared. */
static bool is_openblas(const void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "openblas");
}

void *mmap(void *address, size_t n, int protection, int flags, int fd, off_t offset)
{
    static void *(*next)(void *, size_t, int, int, int, off_t);

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "mmap");
    if (!is_openblas(__builtin_return_address(0)) && fails(flags & MAP_ANONYMOUS ? MEMORY : INPUT))
        return MAP_FAILED;
    return next(address, n, protection, flags, fd, offset);
}

/* ---- files ---- */

/* Call the function that stands behind this one, in a library loaded later. */
#define NEXT(name)                                                                                 \
    static __typeof__(name) *next;                                                                 \
    if (!next)                                                                                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode = 0;
    NEXT(open);

    if (flags & O_CREAT) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return fails((flags & O_ACCMODE) == O_RDONLY ? INPUT : OUTPUT) ? -1 : next(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen);

    return fails(mode[0] == 'r' ? INPUT : OUTPUT) ? NULL : next(path, mode);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    NEXT(read);

    return fails(INPUT) ? -1 : next(fd, bytes, n);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t offset)
{
    NEXT(pread);

    return fails(INPUT) ? -1 : next(fd, bytes, n, offset);
}

int fstat(int fd, struct stat *info)
{
    NEXT(fstat);

    return fails(INPUT) ? -1 : next(fd, info);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    NEXT(write);

    /* Error messages go through: a test wants to read them. */
    return fd != STDERR_FILENO && fails(OUTPUT) ? -1 : next(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    NEXT(pwrite);

    return fails(OUTPUT) ? -1 : next(fd, bytes, n, offset);
}

int fsync(int fd)
{
    NEXT(fsync);

    return fails(OUTPUT) ? -1 : next(fd);
}

int rename(const char *from, const char *to)
{
    NEXT(rename);

    return fails(OUTPUT) ? -1 : next(from, to);
}

/* ---- beginning and end ---- */

static void read_settings(void)
{
    static const char *const names[N_KINDS] = {"memory", "input", "output"};
    const char *fault = getenv("UPG_FAULT"), *path = getenv("UPG_FAULT_REPORT");

    for (int kind = 0; fault && kind < N_KINDS; kind++) {
        const size_t n = strlen(names[kind]);
        if (strncmp(fault, names[kind], n) == 0 && fault[n] == ':') {
            char *end;
            fault_kind = (enum kind)kind;
            fault_number = strtoll(fault + n + 1, &end, 10);
            fault_persists = *end == '+';
        }
    }
    if (path) {
        const int fd = open(path, O_RDWR | O_CREAT, 0600);
        void *bytes = fd >= 0 && ftruncate(fd, sizeof *report) == 0
                          ? mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                          : MAP_FAILED;
        if (bytes != MAP_FAILED)
            report = bytes;
        close(fd);
    }
}

static int armed_main(int argc, char **argv, char **environment)
{
    read_settings();
    atomic_store(&armed, true);
    return real_main(argc, argv, environment);
}

__attribute__((destructor)) static void disarm(void)
{
    atomic_store(&armed, false);
}

/* glibc's start code calls this with the program's main(). */
// NOLINTNEXTLINE(bugprone-reserved-identifier)
int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv,
                      int (*init)(int, char **, char **), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
    NEXT(__libc_start_main);

    real_main = program;
    return next(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}
