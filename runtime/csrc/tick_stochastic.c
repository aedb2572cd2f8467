/* Cores with random synapses or leaks: neuron by neuron, in the order in which the numbers are drawn. */
#include "tick_internal.h"

static int32_t clamp(int32_t v)
{
    return v < TN_POTENTIAL_MIN ? TN_POTENTIAL_MIN : v > TN_POTENTIAL_MAX ? TN_POTENTIAL_MAX : v;
}

static int32_t sign(int32_t v)
{
    return (v > 0) - (v < 0);
}

/* sign(value) if |value| >= an 8-bit random number, else 0. */
static int32_t chance(uint32_t *random, int32_t value)
{
    int32_t rho = (int32_t)(tn_draw(random) & 255), magnitude = value < 0 ? -value : value;
    return magnitude >= rho ? sign(value) : 0;
}

static int32_t integrate(tn_core *core, const uint8_t type_of[TN_AXONS], const uint64_t active[TN_AXON_WORDS], int j)
{
    const int32_t(*field)[TN_NEURONS] = core->lanes;
    int32_t sum = 0;
    for (int word = 0; word < TN_AXON_WORDS; word++) {
        for (uint64_t bits = active[word]; bits; bits &= bits - 1) {
            int axon = 64 * word + __builtin_ctzll(bits);
            if (!(core->rows[axon][j / 64] >> j % 64 & 1))
                continue;
            int g = type_of[axon];
            int32_t weight = field[TN_WEIGHT + g][j];
            sum += core->stochastic[j][g] ? chance(&core->random, weight) : weight;
        }
    }
    return sum;
}

uint32_t tn_kernel_stochastic(tn_turn *turn, tn_turn *next, uint64_t fired[TN_NEURON_WORDS])
{
    tn_core *core = turn->core;
    const uint64_t *active = turn->active;
    const int32_t(*field)[TN_NEURONS] = core->lanes;
    int32_t *potential = core->potential;
    uint8_t type_of[TN_AXONS] = {0};
    uint32_t events = 0;
    for (int word = 0; word < TN_AXON_WORDS; word++) {
        fired[word] = 0;
        for (uint64_t bits = active[word]; bits; bits &= bits - 1) {
            int axon = 64 * word + __builtin_ctzll(bits);
            for (int w = 0; w < TN_NEURON_WORDS; w++)
                events += (uint32_t)__builtin_popcountll(core->rows[axon][w]);
            uint64_t bit = bits & -bits;
            type_of[axon] = (uint8_t)(((core->types->low[word] & bit) != 0) + 2 * ((core->types->high[word] & bit) != 0));
        }
    }
    for (int j = 0; j < core->lanes_used; j++) {
        if (!(core->used[j / 64] >> j % 64 & 1))
            continue;
        int32_t v = potential[j] + integrate(core, type_of, active, j);
        int32_t omega = field[TN_REVERSAL][j] ? sign(v) : 1, leak = field[TN_LEAK][j];
        v = clamp(v + omega * (core->stochastic[j][TN_AXON_TYPES] ? chance(&core->random, leak) : leak));
        int32_t mask = field[TN_RANDOM_MASK][j];
        int32_t eta = mask ? (int32_t)(tn_draw(&core->random) & (uint32_t)mask) : 0;
        int32_t mode = field[TN_MODE][j], saturate = field[TN_SATURATE][j];
        int32_t upper = field[TN_THRESHOLD][j] + eta, lower = field[TN_FLOOR][j] - (saturate ? 0 : eta);
        if (v >= upper) {
            fired[j / 64] |= UINT64_C(1) << j % 64;
            if (mode == 0)
                v = field[TN_RESET][j];
            else if (mode == 1)
                v -= upper;
            else if (v > field[TN_CAP][j])
                v = field[TN_CAP][j];
        } else if (v < lower) {
            if (saturate)
                v = field[TN_FLOOR][j];
            else if (mode == 0)
                v = field[TN_NEGATIVE_RESET][j];
            else if (mode == 1)
                v -= lower;
        }
        potential[j] = v;
    }
    core->quiet = 0;
    if (next)
        tn_prefetch_rows(next);
    return events;
}
