/* What a core's classes add up, as streams of literals (batch_internal.h), and which of them start alike.
 *
 * Two neurons with weights 1 and -1 have many literals in common, or many where the one has the complement of the other's:
 * then the other is counted by its complements, and fires where they do not. Two such classes are a pair: what they share
 * is counted once, by the first, and the second goes on from there. */
#include <stdlib.h>
#include <string.h>

#include "batch_build.h"

/* In groups of four literals. */
enum {
    LEAST_GAIN = 2,        /* what a pair has to save */
    COST_OF_FOLLOWING = 1, /* what going on from the first's count costs */
};

typedef enum {
    FIXED,   /* fires always or never */
    PLAIN,   /* weights 1 and -1 */
    WEIGHTED /* any weights */
} counter_kind;

/* One class's sum as literals, by which it fires where they add up to `need` or more of their `total`. */
typedef struct {
    counter_kind kind;
    int top;
    int32_t need, total;
    int literals;                    /* PLAIN: how many */
    uint64_t rows[2][TN_AXON_WORDS]; /* PLAIN: those of weight 1; those of weight -1, taken as complements */
} counter;

/* Classes that are evaluated one after the other: one, or a pair. */
typedef struct {
    uint8_t n_high, shared, fours; /* groups of four literals: counted once, and by each */
    uint8_t classes, number[2];
    uint8_t inverted; /* the second is counted by its complements */
} unit;

static INLINE int groups_of_four(int literals)
{
    return (literals + 3) / 4;
}

static void describe(counter *c, const tn_sum *sum, uint16_t n_rows)
{
    int32_t negative = 0;
    uint32_t any = 0;
    memset(c, 0, sizeof *c);
    for (int from = 0; from < n_rows; from += 64) {
        uint64_t ones = 0, less = 0;
        for (int r = from; r < n_rows && r < from + 64; r++) { /* without branches: weights are in no order */
            int32_t weight = sum->weight[r], size = abs(weight);
            c->total += size;
            negative += weight < 0 ? size : 0;
            any |= (uint32_t)size;
            ones |= (uint64_t)(size == 1) << (r - from);
            less |= (uint64_t)(weight < 0) << (r - from);
        }
        c->rows[0][from / 64] = ones & ~less;
        c->rows[1][from / 64] = ones & less;
        c->literals += __builtin_popcountll(ones);
    }
    c->need = sum->least + negative;
    c->top = 4;
    if (c->need <= 0 || c->need > c->total) {
        c->kind = FIXED;
        return;
    }
    while ((INT32_C(1) << c->top) < c->need || (INT32_C(1) << c->top) < c->total - c->need + 1)
        c->top++;
    c->kind = any == 1 ? PLAIN : WEIGHTED;
}

/* Counted by its complements: it fires where the answer is no. */
static void invert(counter *c)
{
    uint64_t ones[TN_AXON_WORDS];
    memcpy(ones, c->rows[0], sizeof ones);
    memcpy(c->rows[0], c->rows[1], sizeof ones);
    memcpy(c->rows[1], ones, sizeof ones);
    c->need = c->total - c->need + 1;
}

/* The literals that a has in common with b, or with b's complements if those are more: *inverted. */
static INLINE int in_common(const counter *a, const counter *b, int words, int *inverted)
{
    int same = 0, opposite = 0;
    for (int w = 0; w < words; w++) {
        same += __builtin_popcountll((a->rows[0][w] & b->rows[0][w]) | (a->rows[1][w] & b->rows[1][w]));
        opposite += __builtin_popcountll((a->rows[0][w] & b->rows[1][w]) | (a->rows[1][w] & b->rows[0][w]));
    }
    *inverted = opposite > same;
    return *inverted ? opposite : same;
}

/* The unit that a and b make; returns how many groups of four literals it saves. */
static INLINE int pair_up(unit *u, const counter *a, const counter *b, int words)
{
    int inverted, shared = in_common(a, b, words, &inverted) / 4;
    if (shared > TN_MOST_SHARED)
        shared = TN_MOST_SHARED;
    int longer = a->literals > b->literals ? a->literals : b->literals;
    int fours = groups_of_four(longer - 4 * shared); /* as many for both, so that jumps repeat */
    *u = (unit){.n_high = (uint8_t)(a->top - 4), .shared = (uint8_t)shared, .fours = (uint8_t)fours, .classes = 2,
                .inverted = (uint8_t)inverted};
    return groups_of_four(a->literals) + groups_of_four(b->literals) - shared - 2 * fours - COST_OF_FOLLOWING;
}

/* What every two classes i < j would save as a pair, where they can be one; returns the most. */
static INLINE int weigh_pairs(int8_t (*gain)[TN_NEURONS], const counter *counters, int n, int words)
{
    int most = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            const counter *a = &counters[i], *b = &counters[j];
            unit u;
            int alike = a->kind == PLAIN && b->kind == PLAIN && a->top == b->top && a->top > 4;
            gain[i][j] = alike ? (int8_t)pair_up(&u, a, b, words) : 0;
            most = gain[i][j] > most ? gain[i][j] : most;
        }
    return most;
}

#if TN_HAS_X86
/* The same: counting bits is most of it. */
TN_TARGET_AVX2 static int weigh_pairs_avx2(int8_t (*gain)[TN_NEURONS], const counter *counters, int n, int words)
{
    return weigh_pairs(gain, counters, n, words);
}
#endif

/* Units of the same shape one after the other, so that branches repeat. */
static int compare_units(const void *left, const void *right)
{
    const unit *a = left, *b = right;
    const uint8_t x[] = {a->n_high, a->classes, a->shared, a->fours, a->number[0]},
                  y[] = {b->n_high, b->classes, b->shared, b->fours, b->number[0]};
    return memcmp(x, y, sizeof x);
}

/* Groups n classes into units, pairs that save most first; returns how many, -1: no memory. */
static int find_units(unit *units, const counter *counters, int n, uint16_t n_rows)
{
    int words = (n_rows + 63) / 64, found = 0, most;
    uint8_t paired[TN_NEURONS] = {0};
    int8_t(*gain)[TN_NEURONS] = malloc(sizeof *gain * TN_NEURONS);
    if (!gain)
        return -1;
#if TN_HAS_X86
    if (tn_variant_supported(TN_AVX2))
        most = weigh_pairs_avx2(gain, counters, n, words);
    else
#endif
        most = weigh_pairs(gain, counters, n, words);
    for (; most >= LEAST_GAIN; most--)
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n && !paired[i]; j++)
                if (gain[i][j] == most && !paired[j]) {
                    pair_up(&units[found], &counters[i], &counters[j], words);
                    units[found].number[0] = (uint8_t)i;
                    units[found++].number[1] = (uint8_t)j;
                    paired[i] = paired[j] = 1;
                }
    free(gain);
    for (int i = 0; i < n; i++)
        if (!paired[i]) {
            const counter *c = &counters[i];
            units[found++] = (unit){.n_high = (uint8_t)(c->kind == WEIGHTED ? TN_WEIGHTED : c->top - 4),
                                    .fours = (uint8_t)(c->kind == FIXED ? 0 : groups_of_four(c->literals)),
                                    .classes = 1, .number = {(uint8_t)i}};
        }
    qsort(units, (size_t)found, sizeof *units, compare_units);
    return found;
}

/* A word of 32 bits, all as `bit`. */
static tn_error add_plane(tn_batch_build_state *b, uint32_t bit)
{
    uint16_t *to = tn_vector_add(&b->literals, 2);
    if (!to)
        return TN_ERROR_MEMORY;
    to[0] = to[1] = bit & 1 ? UINT16_MAX : 0;
    return TN_OK;
}

/* The counter's start value, plane by plane. */
static tn_error add_start(tn_batch_build_state *b, uint32_t start, int top)
{
    tn_error error = TN_OK;
    for (int p = 0; p <= top && !error; p++)
        error = add_plane(b, start >> p);
    return error;
}

/* Appends n literals, and zeros to fill `fours` groups of four. */
static tn_error add_literals(tn_batch_build_state *b, const uint16_t *found, int n, int fours, uint16_t n_rows)
{
    uint16_t *to = tn_vector_add(&b->literals, 4 * (size_t)fours);
    if (!to)
        return TN_ERROR_MEMORY;
    for (int i = 0; i < 4 * fours; i++)
        to[i] = i < n ? found[i] : (uint16_t)(TN_ROW_WORDS * 2 * n_rows);
    return TN_OK;
}

/* Removes up to n literals, in order, from those that `from` has in common with `among`; returns how many, and which. */
static int take_literals(uint16_t *found, counter *from, const counter *among, int n)
{
    int taken = 0;
    for (int w = 0; w < TN_AXON_WORDS; w++)
        for (uint64_t plain = from->rows[0][w] & among->rows[0][w], bits = plain | (from->rows[1][w] & among->rows[1][w]);
             bits && taken < n; bits &= bits - 1) {
            uint64_t bit = bits & -bits;
            int complement = !(plain & bit);
            from->rows[complement][w] &= ~bit;
            found[taken++] = (uint16_t)(TN_ROW_WORDS * (2 * (64 * w + __builtin_ctzll(bit)) + complement));
        }
    return taken;
}

/* The counter's start value. */
static uint32_t start_of(const counter *c)
{
    if (c->kind == FIXED)
        return c->need <= 0 ? 16 : 0;
    return (UINT32_C(1) << c->top) - (uint32_t)c->need;
}

/* Weights other than 1 and -1, plane by plane. */
static tn_error add_weighted(tn_batch_build_state *b, tn_class *class, const counter *c, const int32_t *weight,
                             uint16_t n_rows)
{
    tn_error error = add_start(b, start_of(c), c->top);
    for (int plane = 0; plane <= c->top && !error; plane++) {
        uint16_t found[TN_AXONS], *head;
        int n = 0, fours;
        for (int r = 0; r < n_rows; r++)
            if (abs(weight[r]) >> plane & 1)
                found[n++] = (uint16_t)(TN_ROW_WORDS * (2 * r + (weight[r] < 0)));
        if (!n)
            continue;
        fours = groups_of_four(n);
        if (!(head = tn_vector_add(&b->literals, 2)))
            return TN_ERROR_MEMORY;
        head[0] = (uint16_t)plane;
        head[1] = (uint16_t)fours;
        class->fours = (uint16_t)(class->fours + fours);
        class->n_segments++;
        error = add_literals(b, found, n, fours, n_rows);
    }
    return error;
}

/* Weights 1 and -1, or none; `shared` has been taken from them. `counted`: the low planes of the start value of who
 * counts those, where that is not this class. */
static tn_error add_plain(tn_batch_build_state *b, const unit *u, int second, counter *c, const uint16_t *shared,
                          uint32_t counted, uint16_t n_rows)
{
    uint16_t own[TN_AXONS];
    int n = c->kind == FIXED ? 0 : take_literals(own, c, c, TN_AXONS);
    tn_error error = add_start(b, start_of(c) - counted, c->top);
    if (!error)
        error = add_plane(b, second && u->inverted);
    if (!error && !second)
        error = add_literals(b, shared, 4 * u->shared, u->shared, n_rows);
    return error ? error : add_literals(b, own, n, u->fours, n_rows);
}

static tn_error add_unit(tn_batch_build_state *b, const unit *u, counter *counters, size_t stream, uint16_t n_rows)
{
    uint16_t shared[4 * TN_MOST_SHARED];
    uint32_t counted = 0;
    if (u->classes == 2) {
        counter *first = &counters[u->number[0]], *second = &counters[u->number[1]], before = *first;
        if (u->inverted)
            invert(second);
        take_literals(shared, first, second, 4 * u->shared);
        take_literals(shared, second, &before, 4 * u->shared);
        counted = start_of(first) & 31;
    }
    for (int i = 0; i < u->classes; i++) {
        counter *c = &counters[u->number[i]];
        const tn_sum *sum = &b->sums[u->number[i]];
        tn_class class = {.stream = (uint32_t)(b->literals.count - stream), .copies = sum->copies, .number = u->number[i],
                          .top = (uint8_t)c->top, .n_high = u->n_high};
        tn_error error;
        if (c->kind == WEIGHTED) {
            error = add_weighted(b, &class, c, sum->weight, n_rows);
        } else {
            class.fours = u->fours;
            class.part = u->classes == 1 ? TN_ALONE : i ? TN_SECOND : TN_FIRST;
            class.shared = u->shared;
            error = add_plain(b, u, i, c, shared, i ? counted : 0, n_rows);
        }
        tn_class *to = error ? NULL : tn_vector_add(&b->classes, 1);
        if (!to)
            return TN_ERROR_MEMORY;
        *to = class;
    }
    return TN_OK;
}

tn_error tn_batch_add_classes(tn_batch_build_state *b, uint16_t n_rows, int n)
{
    size_t stream = b->literals.count;
    counter *counters = malloc(TN_NEURONS * sizeof *counters);
    unit units[TN_NEURONS];
    if (!counters)
        return TN_ERROR_MEMORY;
    for (int k = 0; k < n; k++)
        describe(&counters[k], &b->sums[k], n_rows);
    int n_units = find_units(units, counters, n, n_rows);
    tn_error error = n_units < 0 ? TN_ERROR_MEMORY : TN_OK;
    for (int i = 0; i < n_units && !error; i++)
        error = add_unit(b, &units[i], counters, stream, n_rows);
    free(counters);
    return error;
}
