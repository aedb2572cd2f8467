/* What the units that compile a chip for the batch engine share; batch_build.c runs them in turn. */
#ifndef TN_BATCH_BUILD_H
#define TN_BATCH_BUILD_H

#include "batch_internal.h"
#include "intern.h"

typedef struct {
    int32_t crossbar;
    int32_t type[TN_NEURONS];
} tn_shape_key;

typedef struct {
    int32_t axon_types;
    uint32_t shape;
    int16_t row_of_axon[TN_AXONS]; /* -1: no source or no synapse */
} tn_program_key;

/* A core's neurons grouped into classes; shared by cores of equal crossbar and neuron types. */
typedef struct {
    uint16_t n_classes;
    uint8_t class_of[TN_NEURONS];
    uint16_t member[TN_NEURONS]; /* by class: its first neuron */
    uint16_t copies[TN_NEURONS]; /* by class */
} tn_shape;

/* What one class adds up, weights by row of the core, and the least sum that fires. */
typedef struct {
    int32_t weight[TN_AXONS];
    int32_t least;
    uint16_t copies;
} tn_sum;

/* A growing array. */
typedef struct {
    void *items;
    size_t count, capacity, item_bytes;
} tn_vector;

/* Room for `more` further items at its end, or NULL. */
void *tn_vector_add(tn_vector *v, size_t more);

typedef struct {
    const tn_chip *chip;
    tn_batch_tables *out;
    tn_intern shape_keys, program_keys;
    tn_vector shapes, programs, classes, literals, fan_out, row_begin, row_signals;
    uint32_t *shape_of;       /* [N] */
    uint32_t *class_signals;  /* by class of all cores, one more at the end */
    int64_t *class_hops;      /* by class of all cores: hops when the class fires once */
    uint16_t *class_delays;   /* by class of all cores: a bit for each delay in use, bit 0: an output pin */
    uint16_t *pin_delays;     /* [input pins] */
    uint32_t *incoming_begin; /* [N * 256 + 1] */
    uint32_t *incoming;       /* signals by (core, axon) */
    uint32_t *seen_core;      /* by signal: 1 + the core that has a row for it alone */
    uint16_t *seen_row;       /* by signal: that row */
    tn_sum *sums;             /* [256]: of the program being added, by class */
} tn_batch_build_state;

/* Bit i of columns[j]: bit j of rows[i]. */
void tn_batch_columns(const uint64_t rows[TN_AXONS][TN_NEURON_WORDS], uint64_t columns[TN_NEURONS][TN_AXON_WORDS]);

/* Counts to where each place begins: begin[i + 1] += begin[i]. */
void tn_sum_counts(uint32_t *begin, size_t places);

/* Groups neurons into classes and numbers the signals. batch_signals.c */
tn_error tn_batch_find_signals(tn_batch_build_state *b);
/* Lists the signals that arrive at each axon and at each output pin. batch_signals.c */
tn_error tn_batch_connect(tn_batch_build_state *b);
/* Finds every core's rows, and what its classes add up. batch_programs.c */
tn_error tn_batch_find_programs(tn_batch_build_state *b);
/* Appends the first n of b->sums as a program's classes, with their streams. batch_counters.c */
tn_error tn_batch_add_classes(tn_batch_build_state *b, uint16_t n_rows, int n);
/* Orders the cores and gives every signal a place to be held. batch_order.c */
tn_error tn_batch_order_cores(const tn_batch_build_state *b);

#endif
