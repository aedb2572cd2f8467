/* A growing list of recorded spikes, one a thread. */
#ifndef TN_SPIKES_H
#define TN_SPIKES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t tick;
    int32_t core, neuron;
} tn_spike;

typedef struct {
    size_t count, capacity;
    tn_spike *spikes;
    int failed; /* memory ran out: spikes are missing */
} tn_spike_list;

void tn_spike_list_add(tn_spike_list *list, tn_spike spike);
void tn_spike_list_clear(tn_spike_list *list); /* keeps the memory */
void tn_spike_list_free(tn_spike_list *list);

#endif
