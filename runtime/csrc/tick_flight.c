#include "tick_flight.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

static const uint32_t AXON_MASK = (UINT32_C(1) << TN_WHERE_BITS) - 1;

static size_t bitmap_bytes(const tn_flight *flight)
{
    return flight->n_cores * sizeof(uint64_t[TN_AXON_WORDS]);
}

static uint32_t *list_of(const tn_flight *flight, int64_t tick, size_t region)
{
    return flight->lists + (size_t)(tick % TN_DELAY_SLOTS) * flight->capacity + flight->begin[region];
}

static uint32_t *count_of(tn_flight *flight, int64_t tick, size_t region)
{
    return &flight->count[(size_t)(tick % TN_DELAY_SLOTS) * TN_REGIONS + region];
}

/* A sender with delay d sends to tick t in tick t - d alone: a list never holds more than one spike of each. */
static uint32_t *lay_out(tn_flight *flight, size_t extra)
{
    flight->extra = extra;
    flight->capacity = 0;
    for (size_t region = 0; region < flight->n_regions; region++) {
        flight->begin[region] = flight->capacity;
        flight->capacity += flight->fixed[region] + extra;
    }
    return tn_reserve(TN_DELAY_SLOTS * flight->capacity * sizeof *flight->lists);
}

tn_error tn_flight_init(tn_flight *flight, size_t n_cores, const size_t senders[TN_REGIONS])
{
    const size_t cores_a_region = (size_t)1 << (TN_REGION_SHIFT - 8);
    memset(flight, 0, sizeof *flight);
    flight->n_cores = n_cores;
    flight->n_regions = (n_cores + cores_a_region - 1) / cores_a_region;
    memcpy(flight->fixed, senders, sizeof flight->fixed);
    flight->due[0] = tn_allocate(bitmap_bytes(flight));
    flight->due[1] = tn_allocate(bitmap_bytes(flight));
    flight->lists = lay_out(flight, 0);
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
    for (size_t i = 0; count && i < TN_LISTS; i++) /* external spikes of earlier calls may be among these */
        most = flight->count[i] > most ? flight->count[i] : most;
    if (!count || most + count <= flight->extra)
        return TN_OK;
    tn_flight old = *flight;
    uint32_t *lists = lay_out(flight, 2 * (most + count));
    if (!lists) {
        *flight = old;
        return TN_ERROR_MEMORY;
    }
    flight->lists = lists;
    for (int64_t slot = 0; slot < TN_DELAY_SLOTS; slot++)
        for (size_t r = 0; r < flight->n_regions; r++)
            memcpy(list_of(flight, slot, r), list_of(&old, slot, r), *count_of(flight, slot, r) * sizeof *lists);
    free(old.lists);
    return TN_OK;
}

void tn_flight_open(tn_flight *flight, int64_t tick)
{
    for (int64_t delay = 1; delay < TN_DELAY_SLOTS; delay++)
        for (size_t r = 0; r < flight->n_regions; r++)
            flight->end[(size_t)delay * TN_REGIONS + r] =
                list_of(flight, tick + delay, r) + *count_of(flight, tick + delay, r);
}

void tn_flight_close(tn_flight *flight, int64_t tick)
{
    for (int64_t delay = 1; delay < TN_DELAY_SLOTS; delay++)
        for (size_t r = 0; r < flight->n_regions; r++)
            *count_of(flight, tick + delay, r) =
                (uint32_t)(flight->end[(size_t)delay * TN_REGIONS + r] - list_of(flight, tick + delay, r));
    uint64_t *due = flight->due[(tick + 1) % 2];
    memset(due, 0, bitmap_bytes(flight));
    for (size_t r = 0; r < flight->n_regions; r++) {
        const uint32_t *list = list_of(flight, tick + 1, r);
        uint32_t *count = count_of(flight, tick + 1, r);
        for (uint32_t i = 0; i < *count; i++) {
            uint32_t axon = list[i] & AXON_MASK;
            due[axon / 64] |= UINT64_C(1) << axon % 64;
        }
        *count = 0;
    }
}
