/* The compiled form that the batch engine's units share.
 *
 * A spike train is one bit a tick. A "source" is an input pin or a class: neurons of one core that always fire
 * together (equal crossbar columns, equal types), computed once. A "signal" is a source seen through one delay (0: as
 * fired), held as a row of TN_ROW_WORDS words; the signals of one source have consecutive numbers. A core's "rows"
 * are its distinct inputs: one or more signals joined by OR. A "literal" is a row or its complement. */
#ifndef TN_BATCH_INTERNAL_H
#define TN_BATCH_INTERNAL_H

#include "batch.h"

#define INLINE inline __attribute__((always_inline))

enum {
    TN_ROW_WORDS = 16,
    TN_ROW_TICKS = 64 * TN_ROW_WORDS,
    TN_LITERALS = 2 * TN_AXONS + 1, /* 2 r: row r; 2 r + 1: its complement; after the last row: zeros */
    TN_PINS_A_JOB = 1024,
    TN_MOST_SHARED = 8, /* groups of four literals of a pair: with the start, the five low planes and one carry hold them */
    TN_WEIGHTED = 255,
    TN_COUNTER_PLANES = 20,         /* 256 axons of weight 255, and room for the threshold */
};

/* Whether a class is evaluated alone, or shares literals with the one after or before it. */
enum { TN_ALONE, TN_FIRST, TN_SECOND };

/* How one class counts: fires where start + literals >= 2^top, bit `top` of the sum.
 *
 * Its stream, in the program's literals, begins with the start's planes 0..top, 32 bits each, all 0 or all 1. In a plain
 * class (weights 1 and -1, or none) 32 bits follow, all 1 where the answer is to be inverted, then the shared literals if it
 * is the first of a pair, then the others. The second goes on from what the first had counted when those were added: its
 * start is what is still missing. In a weighted class segments follow: {plane, groups of four, literals ...}. */
typedef struct {
    uint32_t stream;
    uint16_t copies;    /* neurons in the class */
    uint16_t fours;     /* groups of four literals, in all segments, without the shared ones */
    uint8_t number;     /* of the class within the core */
    uint8_t top;        /* at least 4 */
    uint8_t n_segments; /* of a weighted class */
    uint8_t n_high;     /* top - 4, at most 4, of a plain class; TN_WEIGHTED */
    uint8_t part;       /* TN_ALONE, TN_FIRST, TN_SECOND; the latter where n_high is 1 to 4 */
    uint8_t shared;     /* groups of four literals, at most TN_MOST_SHARED */
} tn_class;

/* What cores with equal crossbars, types and wiring of equal inputs share. */
typedef struct {
    uint16_t n_rows, n_classes;
    size_t classes;  /* into tn_batch_tables.classes */
    size_t literals; /* into tn_batch_tables.literals */
    size_t fan_out;  /* into tn_batch_tables.fan_out: synapses on used neurons, a row */
    uint64_t work;   /* length of all streams: about how long it takes */
} tn_program;

typedef struct {
    uint32_t program;
    uint32_t first_class; /* this core's classes among all cores' */
    size_t first_row;     /* into row_begin */
} tn_batch_core;

/* Where one class's spikes go. */
typedef struct {
    uint32_t signal, n_signals;
    uint32_t row;    /* where the first is held */
    uint32_t delay;  /* of the first */
    uint64_t weight; /* when the class fires once: copies, and their hops << 32 */
} tn_emission;

typedef struct {
    size_t n_cores, neurons, n_signals, n_waves, input_pins, output_pins;
    tn_batch_core *cores;       /* [N] */
    uint32_t *order;            /* [N]: cores by wave (level), long work first */
    uint32_t *wave_begin;       /* [n_waves + 1] into order: the cores of one wave may be evaluated in any order */
    tn_program *programs;
    tn_class *classes;
    uint16_t *literals;         /* a literal's first word among the rows' words */
    uint64_t *fan_out;
    uint32_t *row_begin;        /* by row of all cores, one more at the end: into row_signals */
    uint32_t *row_signals;      /* where those signals are held */
    uint32_t *pin_signals;      /* [input pins + 1] */
    uint8_t *signal_delay;      /* [n_signals] */
    uint32_t *signal_row;       /* [n_signals]: where it is held: signals that are done with make room for others */
    size_t n_held;              /* rows to hold signals */
    tn_emission *emissions;     /* by class of all cores, each core's in its program's order */
    uint8_t *class_of;          /* [N, M] class within the core; unused neurons 0 */
    uint8_t *used;              /* [N, M] */
    uint32_t *output_begin;     /* [output pins + 1] into output_signals */
    uint32_t *output_signals;   /* where signals of delay 0 are held */
} tn_batch_tables;

/* TN_OK, or an error with everything freed. */
tn_error tn_batch_build(tn_batch_tables *tables, const tn_chip *chip);
void tn_batch_tables_free(tn_batch_tables *tables);

/* One row's worth of time. */
typedef struct {
    const tn_batch_tables *tables;
    uint64_t (*rows)[TN_ROW_WORDS];    /* [tables->n_held] */
    uint16_t *history;                 /* [n_signals]: the source's last 16 ticks, bit 15 the latest */
    size_t ticks;                      /* 1..TN_ROW_TICKS of the row are wanted */
    uint64_t wanted[TN_ROW_WORDS] __attribute__((aligned(64)));  /* a bit for each */
    uint64_t sampled[TN_ROW_WORDS] __attribute__((aligned(64))); /* at most one of a word */
} tn_block;

/* What evaluating one core for one block gives. */
typedef struct {
    int64_t spikes, events, hops;
    uint64_t sampled_fired[TN_ROW_WORDS] __attribute__((aligned(64))); /* by word, in its sampled tick: spikes, and hops << 32 */
    uint64_t sampled_events[TN_ROW_WORDS] __attribute__((aligned(64)));
    uint64_t (*fired)[TN_ROW_WORDS]; /* [classes of the core], or NULL: not wanted */
} tn_core_result;

/* `next`: a core whose inputs are ready and will be wanted soon. */
typedef void tn_core_kernel(const tn_block *block, size_t core, size_t next, tn_core_result *result);
/* pins: [ticks, input pins]; TN_PINS_A_JOB pins from `first` on. */
typedef void tn_pin_kernel(const tn_block *block, const uint8_t *pins, size_t first);
typedef void tn_output_kernel(const tn_block *block, uint8_t *outputs, size_t first);

typedef struct {
    tn_core_kernel *core;
    tn_pin_kernel *pins;
    tn_output_kernel *outputs;
    uint64_t (*add_only)(uint64_t rounds);
    int adders_a_round; /* that add_only does, counted in bits */
} tn_batch_kernels;
extern const tn_batch_kernels tn_batch_scalar, tn_batch_avx2, tn_batch_avx512;

/* Transposes 64 x 64 bits: bit j of word i to bit i of word j. */
void tn_transpose64(uint64_t words[64]);

#endif
