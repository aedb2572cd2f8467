/* The order in which cores can be evaluated, from the graph of cores that their used neurons' targets make. */
#ifndef TN_SCHEDULE_H
#define TN_SCHEDULE_H

#include "chip.h"

/* level[core] = the most cores on a path that leads to it; *n_levels = one more than the greatest (0 without cores).
 * TN_ERROR_CYCLE where cores form a loop. */
tn_error tn_levels(const tn_chip *chip, uint32_t *level, size_t *n_levels);

/* Splits a chip between the engines. stage[core]: even stages suit the batch engine (memoryless neurons, no loop), odd
 * ones need the tick engine; every spike goes from a stage to itself or a later one, and stages are as few as that
 * allows when the first is even. */
tn_error tn_stages(const tn_chip *chip, int32_t *stage);

#endif
