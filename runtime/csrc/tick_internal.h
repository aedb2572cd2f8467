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

enum { TN_PALETTE = 32, TN_TREE_ROWS = 16, TN_LINE = 64 };

/* The simple kernel's parameters of up to 32 neuron types: an eighth of the memory traffic that 256 lanes cost. */
typedef struct {
    int16_t field[TN_SIMPLE_FIELDS][TN_PALETTE];
    int16_t pair[TN_AXON_TYPES / 2][TN_PALETTE]; /* the weights of types 2i and 2i + 1 as int8_t, the latter above */
    int16_t small;                               /* they all fit int8_t */
    int16_t padding[TN_PALETTE - 1];
} tn_palette;

typedef enum {
    TN_SIMPLE,     /* every neuron: gamma = 0, kappa = 1, epsilon = 0, no draws */
    TN_GENERAL,    /* all modes and random thresholds */
    TN_STOCHASTIC, /* and random synapses or leaks: neuron by neuron; always wide */
} tn_kernel_kind;

/* The type of axon i is bit i of `low` and twice bit i of `high`. */
typedef struct {
    uint64_t low[TN_AXON_WORDS], high[TN_AXON_WORDS];
} tn_axon_types;

/* What one tick reads of a core comes first, by cache lines. */
typedef struct {
    const uint64_t (*rows)[TN_NEURON_WORDS]; /* [256]: the crossbar, unused neurons cleared; 32-byte aligned */
    const tn_axon_types *types;
    const void *lanes;         /* [TN_FIELDS, 256] of int16_t or int32_t; 64-byte aligned */
    const tn_palette *palette; /* NULL, or stands for `lanes` (narrow, simple cores) with */
    const uint8_t *palette_index; /* [256] */
    const uint8_t (*stochastic)[TN_AXON_TYPES + 1]; /* [256]: flags b_j[0..3], then c; NULL: none set */
    /* The core's block: targets, its neurons' hops in bit planes, and potentials, which all are the core's own. */
    const uint32_t *targets; /* [256]: tn_where, or an output pin */
    void *potential;         /* [256] lanes */

    uint64_t used[TN_NEURON_WORDS];
    int64_t spikes, events; /* fired and synaptic, since reset */
    uint32_t random;        /* the generator's state */
    uint8_t kind;           /* tn_kernel_kind */
    uint8_t wide;           /* lanes are int32_t: the potential could leave int16_t */
    uint8_t draws;
    uint8_t quiet; /* without input nothing would happen: no spike, no draw, no change of a potential */
    uint16_t lanes_used;  /* neurons rounded up to 64 */
    uint8_t all_routed;  /* every used neuron sends to a core */

    uint64_t routed[TN_NEURON_WORDS]; /* neurons that send to a core */
    uint64_t output[TN_NEURON_WORDS]; /* and to an output pin */
} tn_core;

/* One core's input in one tick. The kernel for small weights fills in what follows `listed`. */
typedef struct {
    tn_core *core;
    uint64_t active[TN_AXON_WORDS];
    int listed;
    uint32_t count[TN_AXON_TYPES], most;               /* active axons of each type, and the largest of these */
    uint8_t axons[TN_AXON_TYPES][TN_AXONS + TN_LINE];  /* and their numbers */
    const uint64_t *rows[TN_AXON_TYPES][TN_TREE_ROWS]; /* of the first of them, and rows of zeros */
} tn_turn;

/* Evaluates one tick of a core; sets the fired bits and core->quiet, returns synaptic events. `next` is the turn that
 * follows (NULL: none), whose memory the kernel may start loading. */
typedef uint32_t tn_kernel(tn_turn *turn, tn_turn *next, uint64_t fired[TN_NEURON_WORDS]);

/* What is compiled for each instruction set. */
typedef struct {
    tn_kernel *lanes[2][2]; /* [wide][general] */
    tn_kernel *small;       /* NULL, or for cores with a palette of small weights */
    /* The numbers of the neurons that fired, in order, and how many. */
    uint32_t (*list)(const uint64_t fired[TN_NEURON_WORDS], uint8_t neurons[TN_NEURONS + TN_LINE]);
    /* The sum over the neurons that fired of a number whose bits are in n planes. */
    uint64_t (*sum)(const uint64_t fired[TN_NEURON_WORDS], const uint64_t (*planes)[TN_NEURON_WORDS], int n);
} tn_kernels;
extern const tn_kernels tn_kernels_scalar, tn_kernels_avx2, tn_kernels_avx512;
tn_kernel tn_kernel_stochastic;

/* The active axons of type g among those of one word. */
static inline uint64_t tn_of_type(const tn_core *core, int g, int word, uint64_t active)
{
    uint64_t low = core->types->low[word], high = core->types->high[word];
    return active & (g & 1 ? low : ~low) & (g & 2 ? high : ~high);
}

/* Starts loading the rows that evaluating a core will read: a chip is larger than the caches. */
static inline void tn_prefetch_rows(const tn_turn *turn)
{
    for (int word = 0; word < TN_AXON_WORDS; word++)
        for (uint64_t bits = turn->active[word]; bits; bits &= bits - 1)
            __builtin_prefetch(turn->core->rows[64 * word + __builtin_ctzll(bits)]);
}

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
