#include "tick_flight.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

static const uint32_t AXON_MASK = (UINT32_C(1) << TN_WHERE_BITS) - 1;

static size_t bitmap_bytes(const tn_flight *flight)
{
    return flight->n_cores * sizeof(uint64_t[TN_AXON_WORDS]);
}

static uint32_t *list_of(const tn_flight *flight, int64_t tick)
{
    return flight->lists + (size_t)(tick % TN_DELAY_SLOTS) * flight->capacity;
}

/* A sender with delay d sends to tick t in tick t - d alone: a list never holds more than one spike of each. */
tn_error tn_flight_init(tn_flight *flight, size_t n_cores, size_t senders)
{
    *flight = (tn_flight){.n_cores = n_cores, .fixed = senders, .capacity = senders};
    flight->due[0] = tn_allocate(bitmap_bytes(flight));
    flight->due[1] = tn_allocate(bitmap_bytes(flight));
    flight->lists = tn_reserve(TN_DELAY_SLOTS * flight->capacity * sizeof *flight->lists);
    return flight->due[0] && flight->due[1] && flight->lists ? TN_OK : TN_ERROR_MEMORY;
}

void tn_flight_free(tn_flight *flight)
{
    free(flight->due[0]);
    free(flight->due[1]);
    free(flight->lists);
}

void tn_flight_reset(tn_flight *flight)
{
    memset(flight->due[0], 0, bitmap_bytes(flight));
    memset(flight->due[1], 0, bitmap_bytes(flight));
    memset(flight->count, 0, sizeof flight->count);
}

tn_error tn_flight_expect(tn_flight *flight, size_t count)
{
    size_t most = 0;
    for (int slot = 0; count && slot < TN_DELAY_SLOTS; slot++) /* external spikes of earlier calls may be among these */
        most = flight->count[slot] > most ? flight->count[slot] : most;
    if (!count || most + count <= flight->extra)
        return TN_OK;
    size_t extra = 2 * (most + count), capacity = flight->fixed + extra;
    uint32_t *lists = tn_reserve(TN_DELAY_SLOTS * capacity * sizeof *lists);
    if (!lists)
        return TN_ERROR_MEMORY;
    for (size_t slot = 0; slot < TN_DELAY_SLOTS; slot++)
        memcpy(lists + slot * capacity, flight->lists + slot * flight->capacity, flight->count[slot] * sizeof *lists);
    free(flight->lists);
    flight->lists = lists;
    flight->extra = extra;
    flight->capacity = capacity;
    return TN_OK;
}

void tn_flight_open(tn_flight *flight, int64_t tick)
{
    flight->end[0] = flight->nowhere;
    for (int delay = 1; delay < TN_DELAY_SLOTS; delay++)
        flight->end[delay] = list_of(flight, tick + delay) + flight->count[(tick + delay) % TN_DELAY_SLOTS];
}

void tn_flight_close(tn_flight *flight, int64_t tick)
{
    for (int delay = 1; delay < TN_DELAY_SLOTS; delay++)
        flight->count[(tick + delay) % TN_DELAY_SLOTS] = (uint32_t)(flight->end[delay] - list_of(flight, tick + delay));
    const uint32_t *list = list_of(flight, tick + 1);
    uint64_t *due = flight->due[(tick + 1) % 2];
    uint32_t *count = &flight->count[(tick + 1) % TN_DELAY_SLOTS];
    memset(due, 0, bitmap_bytes(flight));
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t axon = list[i] & AXON_MASK;
        due[axon / 64] |= UINT64_C(1) << axon % 64;
    }
    *count = 0;
}
