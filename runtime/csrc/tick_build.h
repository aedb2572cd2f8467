/* Compiling a chip into the tick engine's tables. */
#ifndef TN_TICK_BUILD_H
#define TN_TICK_BUILD_H

#include "tick_internal.h"

/* Owned tables; every core points into them. */
typedef struct {
    size_t n_cores;
    tn_core *cores;                 /* [N] */
    int n_hop_planes;               /* of every core, after its targets */
    int32_t (*initial)[TN_NEURONS]; /* by initial_index: potentials at tick 0 */
    uint32_t *initial_index;        /* [N] */
    uint32_t *seed;                 /* [N] */
    void *rows, *types, *narrow, *wide, *palettes, *palette_index, *stochastic, *blocks;
} tn_tick_tables;

/* TN_OK, or TN_ERROR_MEMORY with everything freed. `with_palettes`: cores that can have palettes get them. */
tn_error tn_tick_build(tn_tick_tables *tables, const tn_chip *chip, int with_palettes);
void tn_tick_tables_free(tn_tick_tables *tables);

/* Part of tn_tick_build: gives palettes to the cores with narrow lanes that can have them. */
tn_error tn_tick_make_palettes(tn_tick_tables *tables, size_t n_narrow);

#endif
