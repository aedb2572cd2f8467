/* Spikes in flight: what one thread has sent and no core has taken yet.
 *
 * A spike is noted in a list, one for each of the next 15 ticks and each region of the chip; a list is written in order
 * and costs little memory traffic. At the end of the tick before they are due, spikes are set in a bitmap of all axons,
 * region by region, so that this stays within the caches on chips of any size; every thread reads it in the next tick.
 * Any thread's spikes may be for any core, so each thread has its own, and readers join them. */
#ifndef TN_TICK_FLIGHT_H
#define TN_TICK_FLIGHT_H

#include "chip.h"

enum {
    TN_WHERE_BITS = 28,
    TN_REGION_SHIFT = 22, /* a region has 2^14 cores: half a megabyte of bitmap */
    TN_REGIONS = 1 << (TN_WHERE_BITS - TN_REGION_SHIFT),
    TN_LISTS = TN_DELAY_SLOTS * TN_REGIONS,
};

/* Where a spike goes, and when. */
static inline uint32_t tn_where(int32_t delay, int32_t core, int32_t axon)
{
    return (uint32_t)delay << TN_WHERE_BITS | (uint32_t)core << 8 | (uint32_t)axon;
}

typedef struct {
    uint32_t *end[TN_LISTS]; /* in an open tick, where the next spike goes: by delay and region, as in tn_where */
    uint32_t *lists;         /* [16, capacity]: tn_where, by due tick, then by region */
    uint64_t *due[2];        /* [N, 4] by due tick: active axons */
    size_t n_cores, n_regions, extra, capacity;
    size_t fixed[TN_REGIONS];   /* a list of region r has room for fixed[r] + extra spikes, */
    size_t begin[TN_REGIONS];   /* from begin[r] on */
    uint32_t count[TN_LISTS];   /* by due tick and region */
} tn_flight;

/* Room for `senders[r]` spikes to each region in one tick, each sender with one delay, and for external spikes as
 * tn_flight_expect says. */
tn_error tn_flight_init(tn_flight *flight, size_t n_cores, const size_t senders[TN_REGIONS]);
void tn_flight_free(tn_flight *flight);
void tn_flight_reset(tn_flight *flight);

/* Makes room for `count` spikes beyond those of the fixed senders, whatever their delays. */
tn_error tn_flight_expect(tn_flight *flight, size_t count);

/* A tick begins, and ends; between them spikes are sent. Nobody may read due[(tick + 1) % 2] while it ends. */
void tn_flight_open(tn_flight *flight, int64_t tick);
void tn_flight_close(tn_flight *flight, int64_t tick);

static inline void tn_flight_send(tn_flight *flight, uint32_t where)
{
    uint32_t *end = flight->end[where >> TN_REGION_SHIFT];
    *end = where;
    __builtin_prefetch(end + 16, 1); /* the next line: the lists are too many for the processor to foresee */
    flight->end[where >> TN_REGION_SHIFT] = end + 1;
}

#endif
