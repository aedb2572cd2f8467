/* What the tick engine's units share: the compiled core and the kernels that evaluate one core for one tick. */
#ifndef TN_TICK_INTERNAL_H
#define TN_TICK_INTERNAL_H

#include "tick.h"

/* Per-neuron parameters as 256 lanes a field, int16_t or int32_t. The simple kernel reads the first TN_SIMPLE_FIELDS. */
enum {
    TN_WEIGHT, /* four fields */
    TN_LEAK = 4,
    TN_THRESHOLD,
    TN_FLOOR, /* -beta */
    TN_RESET, /* R */
    TN_SIMPLE_FIELDS,
    TN_REVERSAL = TN_SIMPLE_FIELDS, /* epsilon */
    TN_MODE,                        /* gamma */
    TN_SATURATE,                    /* kappa */
    TN_CAP,                         /* alpha + 2^TM - 1 */
    TN_NEGATIVE_RESET,              /* -R as the register holds it */
    TN_RANDOM_MASK,                 /* 2^TM - 1, or 0: no draw */
    TN_FIELDS,
};

enum { TN_PALETTE = 32 };

/* The simple kernel's parameters of up to 32 neuron types: an eighth of the memory traffic that 256 lanes cost. */
typedef struct {
    int16_t field[TN_SIMPLE_FIELDS][TN_PALETTE];
} tn_palette;

typedef enum {
    TN_SIMPLE,     /* every neuron: gamma = 0, kappa = 1, epsilon = 0, no draws */
    TN_GENERAL,    /* all modes and random thresholds */
    TN_STOCHASTIC, /* and random synapses or leaks: neuron by neuron; always wide */
} tn_kernel_kind;

typedef struct {
    const uint64_t (*rows)[TN_NEURON_WORDS]; /* [256]: the crossbar, unused neurons cleared; 32-byte aligned */
    const uint64_t (*of_type)[TN_AXON_WORDS]; /* [4]: the axons of each type */
    const void *lanes;                       /* [TN_FIELDS, 256] of int16_t or int32_t; 64-byte aligned */
    const tn_palette *palette; /* NULL, or stands for `lanes` (narrow, simple cores) with */
    const uint8_t *palette_index; /* [256] */
    const uint8_t (*stochastic)[TN_AXON_TYPES + 1]; /* [256]: flags b_j[0..3], then c; NULL: none set */
    void *potential;                         /* [256] lanes */
    uint64_t used[TN_NEURON_WORDS], routed[TN_NEURON_WORDS], output[TN_NEURON_WORDS];
    uint32_t random; /* the generator's state */
    uint8_t kind;    /* tn_kernel_kind */
    uint8_t wide;    /* lanes are int32_t: the potential could leave int16_t */
    uint8_t draws;
    uint8_t quiet; /* without input nothing would happen: no spike, no draw, no change of a potential */
    uint16_t lanes_used; /* neurons rounded up to 64 */
} tn_core;

/* Evaluates one tick of a core with input `active`; sets the fired bits and core->quiet, returns synaptic events. */
typedef uint32_t tn_kernel(tn_core *core, const uint64_t active[TN_AXON_WORDS], uint64_t fired[TN_NEURON_WORDS]);

/* [wide][general] */
typedef tn_kernel *tn_kernels[2][2];
extern const tn_kernels tn_kernels_scalar, tn_kernels_avx2, tn_kernels_avx512;
tn_kernel tn_kernel_stochastic;

static inline uint32_t tn_draw(uint32_t *state)
{
    uint32_t x = *state, drawn = x;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return drawn;
}

#endif
