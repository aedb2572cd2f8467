/* Memory for large tables. */
#ifndef TN_MEMORY_H
#define TN_MEMORY_H

#include <stddef.h>

/* Zeroed memory, 64-byte aligned, on huge pages where it is large and the system has them; free() it. NULL where there
 * is none; never NULL for 0 bytes. */
void *tn_allocate(size_t bytes);

/* The same without the zeros: parts that are never written to need no memory. */
void *tn_reserve(size_t bytes);

#endif
