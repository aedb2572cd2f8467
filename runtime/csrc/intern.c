#include "intern.h"

#include <stdlib.h>
#include <string.h>

void tn_intern_init(tn_intern *table, size_t key_bytes)
{
    memset(table, 0, sizeof *table);
    table->key_bytes = key_bytes;
}

void tn_intern_free(tn_intern *table)
{
    free(table->keys);
    free(table->hashes);
    free(table->slots);
    tn_intern_init(table, table->key_bytes);
}

static uint64_t hash_bytes(const uint8_t *bytes, size_t count)
{
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ count;
    while (count) {
        uint64_t word = 0;
        size_t n = count < 8 ? count : 8;
        memcpy(&word, bytes, n);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        bytes += n;
        count -= n;
    }
    return hash;
}

static int grow(tn_intern *table)
{
    size_t capacity = table->capacity ? 2 * table->capacity : 64;
    uint8_t *keys = realloc(table->keys, capacity / 2 * table->key_bytes);
    if (keys)
        table->keys = keys;
    uint64_t *hashes = realloc(table->hashes, capacity / 2 * sizeof *hashes);
    if (hashes)
        table->hashes = hashes;
    uint32_t *slots = calloc(capacity, sizeof *slots);
    if (!keys || !hashes || !slots) {
        free(slots);
        return -1;
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    for (size_t i = 0; i < table->count; i++) {
        size_t slot = table->hashes[i] & (capacity - 1);
        while (slots[slot])
            slot = (slot + 1) & (capacity - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    return 0;
}

size_t tn_intern_add(tn_intern *table, const void *key)
{
    if (table->count == table->capacity / 2 && grow(table))
        return SIZE_MAX;
    uint64_t hash = hash_bytes(key, table->key_bytes);
    size_t slot = hash & (table->capacity - 1);
    for (; table->slots[slot]; slot = (slot + 1) & (table->capacity - 1)) {
        size_t found = table->slots[slot] - 1;
        if (table->hashes[found] == hash && !memcmp(table->keys + found * table->key_bytes, key, table->key_bytes))
            return found;
    }
    memcpy(table->keys + table->count * table->key_bytes, key, table->key_bytes);
    table->hashes[table->count] = hash;
    table->slots[slot] = (uint32_t)table->count + 1;
    return table->count++;
}
