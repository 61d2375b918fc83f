/* system.c */
#include "cli/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

/* "model name : Intel(R) Core(TM) ..." of x86; Arm has no such line. */
static void read_cpuinfo(char *name, size_t n)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];

    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        snprintf(name, n, "%s", colon + 1 + strspn(colon + 1, " \t"));
        name[strcspn(name, "\n\"")] = '\0';
        break;
    }
    if (file)
        fclose(file);
}

void cpu_name(char *name, size_t n)
{
    struct utsname system;

    name[0] = '\0';
#if defined(__APPLE__)
    if (sysctlbyname("machdep.cpu.brand_string", name, &n, NULL, 0) != 0)
        name[0] = '\0';
#endif
    read_cpuinfo(name, n);
    if (name[0] == '\0' && uname(&system) == 0)
        snprintf(name, n, "%s", system.machine);
}

uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r"); /* pages: "total resident ..." */
    char line[256] = "", *resident;

    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    strtoull(line, &resident, 10);
    return strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t most_resident_bytes(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}
