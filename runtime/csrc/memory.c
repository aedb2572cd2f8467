#define _DEFAULT_SOURCE
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21, LINE = 64 };

void *tn_reserve(size_t bytes)
{
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : LINE;
    void *found = NULL;
    if (posix_memalign(&found, alignment, bytes ? bytes : LINE))
        return NULL;
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE) /* tables that are read at random would else spend their time on page walks */
        (void)madvise(found, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return found;
}

void *tn_allocate(size_t bytes)
{
    void *found = tn_reserve(bytes);
    return found ? memset(found, 0, bytes) : NULL;
}
