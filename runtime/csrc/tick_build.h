/* Compiling a chip into the tick engine's tables. */
#ifndef TN_TICK_BUILD_H
#define TN_TICK_BUILD_H

#include "tick_internal.h"

/* Where a neuron's spike goes: delay << 28 | core << 8 | axon; with delay 0 an output pin. */
typedef struct {
    uint32_t where;
    uint32_t hops;
} tn_target;

enum { TN_WHERE_BITS = 28 };

/* An input connection: as tn_target.where. */
typedef struct {
    uint32_t pin, where;
} tn_input;

/* Owned tables; every core points into them. */
typedef struct {
    size_t n_cores;
    tn_core *cores;              /* [N] */
    tn_target (*targets)[TN_NEURONS]; /* [N, 256] */
    int32_t (*initial)[TN_NEURONS];   /* by initial_index: potentials at tick 0 */
    uint32_t *initial_index;     /* [N] */
    uint32_t *seed;              /* [N] */
    void *rows, *of_type, *narrow, *wide, *palettes, *palette_index, *stochastic, *potentials;
} tn_tick_tables;

/* TN_OK, or TN_ERROR_MEMORY with everything freed. `with_palettes`: cores that can have palettes get them. */
tn_error tn_tick_build(tn_tick_tables *tables, const tn_chip *chip, int with_palettes);
void tn_tick_tables_free(tn_tick_tables *tables);

#endif
