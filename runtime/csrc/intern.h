/* Numbers byte strings of one fixed length: equal strings get equal numbers, in order of first appearance. */
#ifndef TN_INTERN_H
#define TN_INTERN_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t key_bytes, count, capacity; /* capacity: a power of two, or 0 */
    uint8_t *keys;                     /* [capacity / 2, key_bytes], by number */
    uint64_t *hashes;                  /* by number */
    uint32_t *slots;                   /* number + 1, or 0 */
} tn_intern;

void tn_intern_init(tn_intern *table, size_t key_bytes);
void tn_intern_free(tn_intern *table);

/* The number of `key`, or SIZE_MAX when memory runs out. A new key gets the number `count` had before the call. */
size_t tn_intern_add(tn_intern *table, const void *key);

#endif
