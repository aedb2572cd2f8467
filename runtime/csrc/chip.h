/* A configured chip as the caller's arrays: nothing is copied, nothing owned.
 *
 * The arrays are those of runtime/config.py (ChipConfig), C order. N = cores, A = axons, M = neurons a core. */
#ifndef TN_CHIP_H
#define TN_CHIP_H

#include <stddef.h>
#include <stdint.h>

#include "tn_error.h"

enum {
    TN_AXONS = 256, /* most axons a core has; cores with fewer are padded */
    TN_NEURONS = 256,
    TN_AXON_WORDS = TN_AXONS / 64,
    TN_NEURON_WORDS = TN_NEURONS / 64,
    TN_AXON_TYPES = 4,
    TN_DELAY_SLOTS = 16, /* delays are 1..15 ticks */
    TN_UNCONNECTED = -1,
    TN_DISABLED = -2,
    TN_OUTPUT = -3,
    TN_POTENTIAL_MIN = -(1 << 19),
    TN_POTENTIAL_MAX = (1 << 19) - 1,
    TN_MAX_CORES = 1 << 20,
};

typedef struct {
    size_t n_types;
    const int16_t *weights;            /* [T, 4] */
    const uint8_t *stochastic_weights; /* [T, 4] */
    const int16_t *leak;
    const uint8_t *stochastic_leak;
    const uint8_t *leak_reversal;
    const int32_t *threshold;
    const int32_t *negative_threshold;
    const uint8_t *threshold_random_bits;
    const uint8_t *reset_mode;
    const uint8_t *negative_saturate;
    const int32_t *reset_potential;
    const int32_t *initial_potential;
} tn_neuron_types;

typedef struct {
    size_t axons, neurons;            /* 1..256 each */
    size_t n_cores;                   /* N */
    size_t n_crossbars;               /* U */
    size_t n_axon_type_rows;          /* V */
    size_t n_inputs;                  /* K */
    size_t input_pins, output_pins;
    const uint8_t *crossbars;         /* [U, A, ceil(M / 8)]: bit j % 8 of byte j / 8 is W[axon, j] */
    const int32_t *crossbar_index;    /* [N] */
    const uint8_t *axon_types;        /* [V, A] */
    const int32_t *axon_types_index;  /* [N] */
    tn_neuron_types types;
    const int32_t *neuron_type;       /* [N, M]: -1 unused */
    const int32_t *target_core;       /* [N, M] */
    const int32_t *target_axon;       /* [N, M] */
    const uint8_t *target_delay;      /* [N, M] */
    const int32_t *target_hops;       /* [N, M]: mesh hops of one spike to a core or an output pin, at least 0 */
    const uint32_t *seed;             /* [N] */
    const int32_t *input_pin;         /* [K], sorted */
    const int32_t *input_core;        /* [K] */
    const int32_t *input_axon;        /* [K] */
    const uint8_t *input_delay;       /* [K] */
} tn_chip;

/* Every index and every value that the engines rely on is in range: TN_OK, else TN_ERROR_CHIP. Array lengths are the
 * caller's promise. */
tn_error tn_chip_check(const tn_chip *chip);

/* Core `core`'s crossbar as 256 rows of 256 bits (row = axon, bit = neuron), absent axons and neurons 0, and the
 * columns of unused neurons cleared. */
void tn_chip_rows(const tn_chip *chip, size_t core, uint64_t rows[TN_AXONS][TN_NEURON_WORDS]);

/* Bit j of the result: neuron j of `core` is used. */
void tn_chip_used(const tn_chip *chip, size_t core, uint64_t used[TN_NEURON_WORDS]);

#endif
