#include "spikes.h"

#include <stdlib.h>

void tn_spike_list_add(tn_spike_list *list, tn_spike spike)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        tn_spike *grown = realloc(list->spikes, capacity * sizeof *grown);
        if (!grown) {
            list->failed = 1;
            return;
        }
        list->spikes = grown;
        list->capacity = capacity;
    }
    list->spikes[list->count++] = spike;
}

void tn_spike_list_clear(tn_spike_list *list)
{
    list->count = 0;
    list->failed = 0;
}

void tn_spike_list_free(tn_spike_list *list)
{
    free(list->spikes);
    *list = (tn_spike_list){0};
}
