/* Which ticks are sampled for the greatest activity of one tick: the same ones in every engine. */
#ifndef TN_SAMPLE_H
#define TN_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* Tick t is sampled where t % TN_SAMPLE_EVERY == TN_SAMPLE_AT. runtime/engine.py has the same numbers. */
enum {
    TN_SAMPLE_EVERY = 64,
    TN_SAMPLE_AT = 31,
    TN_SAMPLED = 3, /* what is summed over the chip in a sampled tick: spikes, synaptic events, hops */
};

/* Sampled ticks before tick `tick`. */
static inline size_t tn_samples_before(int64_t tick)
{
    return (size_t)(tick + TN_SAMPLE_EVERY - 1 - TN_SAMPLE_AT) / TN_SAMPLE_EVERY;
}

/* The most that a core did in one sampled tick since reset. */
typedef struct {
    int64_t spikes, events;
} tn_peak;

static inline void tn_peak_raise(tn_peak *peak, int64_t spikes, int64_t events)
{
    peak->spikes = spikes > peak->spikes ? spikes : peak->spikes;
    peak->events = events > peak->events ? events : peak->events;
}

#endif
