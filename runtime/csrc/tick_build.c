#include "tick_build.h"

#include <stdlib.h>
#include <string.h>

#include "intern.h"
#include "memory.h"
#include "tick_flight.h"

typedef struct {
    uint64_t rows[TN_AXONS][TN_NEURON_WORDS];
} crossbar_rows;

/* One core's neuron types, its parameters before a lane width is chosen. */
typedef struct {
    int32_t field[TN_FIELDS][TN_NEURONS];
    uint8_t stochastic[TN_NEURONS][TN_AXON_TYPES + 1];
    int32_t initial[TN_NEURONS];
    uint8_t kind, draws, any_stochastic;
} parameters;

/* A core's tables by number, until the tables stop moving. */
typedef struct {
    uint32_t rows, types, lanes;
    uint8_t wide, kind, draws;
} references;

static void spread_neuron(parameters *p, int j, const tn_neuron_types *types, size_t t)
{
    for (int g = 0; g < TN_AXON_TYPES; g++) {
        p->field[TN_WEIGHT + g][j] = types->weights[4 * t + g];
        p->stochastic[j][g] = types->stochastic_weights[4 * t + g] != 0;
    }
    p->stochastic[j][TN_AXON_TYPES] = types->stochastic_leak[t] != 0;
    int32_t random_mask = (INT32_C(1) << types->threshold_random_bits[t]) - 1;
    int32_t reset = types->reset_potential[t];
    p->field[TN_LEAK][j] = types->leak[t];
    p->field[TN_THRESHOLD][j] = types->threshold[t];
    p->field[TN_FLOOR][j] = -types->negative_threshold[t];
    p->field[TN_RESET][j] = reset;
    p->field[TN_REVERSAL][j] = types->leak_reversal[t] != 0;
    p->field[TN_MODE][j] = types->reset_mode[t];
    p->field[TN_SATURATE][j] = types->negative_saturate[t] != 0;
    p->field[TN_CAP][j] = types->threshold[t] + random_mask;
    p->field[TN_NEGATIVE_RESET][j] = -reset > TN_POTENTIAL_MAX ? TN_POTENTIAL_MAX : -reset;
    p->field[TN_RANDOM_MASK][j] = random_mask;
    p->initial[j] = types->initial_potential[t];
    for (int flag = 0; flag <= TN_AXON_TYPES; flag++)
        p->any_stochastic |= p->stochastic[j][flag];
    p->draws |= random_mask != 0;
    if (types->reset_mode[t] != 0 || !types->negative_saturate[t] || types->leak_reversal[t] || random_mask)
        p->kind = TN_GENERAL;
}

static void spread(parameters *p, const tn_chip *chip, size_t core)
{
    const int32_t *type = chip->neuron_type + core * chip->neurons;
    memset(p, 0, sizeof *p);
    p->kind = TN_SIMPLE;
    for (size_t j = 0; j < chip->neurons; j++)
        if (type[j] >= 0)
            spread_neuron(p, (int)j, &chip->types, (size_t)type[j]);
    if (p->any_stochastic) {
        p->kind = TN_STOCHASTIC;
        p->draws = 1;
    }
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Whether neuron j's potential and every intermediate stay within int16_t, whatever the input: `up` and `down` are the
 * largest sums that one tick's synapses can add and take away. */
static int fits_narrow(const parameters *p, int j, int32_t up, int32_t down)
{
    int32_t leak = abs(p->field[TN_LEAK][j]), mask = p->field[TN_RANDOM_MASK][j], mode = p->field[TN_MODE][j];
    int32_t threshold = p->field[TN_THRESHOLD][j], negative = -p->field[TN_FLOOR][j], reset = p->field[TN_RESET][j];
    int saturate = p->field[TN_SATURATE][j];
    up += leak;
    down += leak;
    if (mode == 1 && up > threshold) /* the excess over the threshold could pile up */
        return 0;
    if (!saturate && (mode == 2 || (mode == 1 && down > negative)))
        return 0;
    int32_t high = larger(larger(threshold + mask, p->initial[j]), larger(abs(reset), up));
    int32_t low = larger(larger(negative + mask, -p->initial[j]), larger(abs(reset), down));
    return high + up <= INT16_MAX && low + down <= INT16_MAX;
}

static int type_of(const tn_axon_types *types, int axon)
{
    return (int)(types->low[axon / 64] >> axon % 64 & 1) + 2 * (int)(types->high[axon / 64] >> axon % 64 & 1);
}

static int is_wide(const parameters *p, const crossbar_rows *rows, const tn_axon_types *types)
{
    if (p->kind == TN_STOCHASTIC)
        return 1;
    int32_t up[TN_NEURONS] = {0}, down[TN_NEURONS] = {0};
    for (int g = 0; g < TN_AXON_TYPES; g++) {
        uint64_t planes[9][TN_NEURON_WORDS] = {{0}}; /* the number of axons of this type, bit by bit */
        for (int axon = 0; axon < TN_AXONS; axon++)
            for (int w = 0; type_of(types, axon) == g && w < TN_NEURON_WORDS; w++) {
                uint64_t carry = rows->rows[axon][w];
                for (int p = 0; carry; p++) {
                    uint64_t next = planes[p][w] & carry;
                    planes[p][w] ^= carry;
                    carry = next;
                }
            }
        for (int j = 0; j < TN_NEURONS; j++) {
            int32_t count = 0;
            for (int p = 0; p < 9; p++)
                count |= (int32_t)(planes[p][j / 64] >> j % 64 & 1) << p;
            int32_t sum = p->field[TN_WEIGHT + g][j] * count;
            up[j] += sum > 0 ? sum : 0;
            down[j] += sum < 0 ? -sum : 0;
        }
    }
    for (int j = 0; j < TN_NEURONS; j++)
        if (!fits_narrow(p, j, up[j], down[j]))
            return 1;
    return 0;
}

static void read_types(tn_axon_types *types, const tn_chip *chip, size_t core)
{
    const uint8_t *type = chip->axon_types + (size_t)chip->axon_types_index[core] * chip->axons;
    memset(types, 0, sizeof *types);
    for (size_t axon = 0; axon < chip->axons; axon++) {
        types->low[axon / 64] |= (uint64_t)(type[axon] & 1) << axon % 64;
        types->high[axon / 64] |= (uint64_t)(type[axon] >> 1) << axon % 64;
    }
}

/* The bits of the largest number of hops. */
static int hop_planes(const tn_chip *chip)
{
    int32_t all = 0;
    for (size_t i = 0; i < chip->n_cores * chip->neurons; i++)
        all |= chip->target_hops[i];
    return all ? 32 - __builtin_clz((unsigned)all) : 0;
}

/* A block: targets, hop planes, potentials, each on cache lines of its own. */
static size_t potential_offset(const tn_tick_tables *tables)
{
    size_t planes = tables->n_hop_planes * sizeof(uint64_t[TN_NEURON_WORDS]);
    return TN_NEURONS * sizeof(uint32_t) + (planes + TN_LINE - 1) / TN_LINE * TN_LINE;
}

static size_t block_bytes(const tn_tick_tables *tables, int wide)
{
    return potential_offset(tables) + TN_NEURONS * (wide ? sizeof(int32_t) : sizeof(int16_t));
}

static void read_connections(tn_tick_tables *tables, const tn_chip *chip, size_t c, void *block)
{
    tn_core *core = &tables->cores[c];
    uint32_t *targets = block;
    uint64_t(*planes)[TN_NEURON_WORDS] = (void *)(targets + TN_NEURONS);
    tn_chip_used(chip, c, core->used);
    for (size_t j = 0; j < chip->neurons; j++) {
        size_t i = c * chip->neurons + j;
        int32_t to = chip->target_core[i];
        uint64_t bit = core->used[j / 64] & UINT64_C(1) << j % 64;
        if (!bit || (to < 0 && to != TN_OUTPUT))
            continue;
        targets[j] = to < 0 ? (uint32_t)chip->target_axon[i] : tn_where(chip->target_delay[i], to, chip->target_axon[i]);
        *(to < 0 ? &core->output[j / 64] : &core->routed[j / 64]) |= bit;
        for (int32_t hops = chip->target_hops[i], p = 0; hops; hops >>= 1, p++)
            planes[p][j / 64] |= hops & 1 ? bit : 0;
    }
    core->all_routed = !memcmp(core->routed, core->used, sizeof core->used);
    tables->seed[c] = chip->seed[c];
    core->targets = targets;
    core->lanes_used = (uint16_t)((chip->neurons + 63) / 64 * 64);
}

/* What decides a core's rows; its parameters are decided by its neuron types alone. */
typedef struct {
    uint64_t used[TN_NEURON_WORDS];
    uint64_t crossbar;
} rows_key;

/* The unique tables while they are being found: numbers, and for each the first core that has it. */
typedef struct {
    tn_intern rows, types, parameters;
    uint32_t *rows_core, *parameters_core;
    uint32_t *parameters_wide, *parameters_narrow; /* by parameters number: 1 + lane table number, or 0 */
    size_t parameters_capacity;
    uint32_t n_wide, n_narrow;
    references *of_core;
} collection;

static void collection_free(collection *c)
{
    tn_intern_free(&c->rows);
    tn_intern_free(&c->types);
    tn_intern_free(&c->parameters);
    free(c->rows_core);
    free(c->parameters_core);
    free(c->parameters_wide);
    free(c->parameters_narrow);
    free(c->of_core);
}

static tn_error collect(collection *all, const tn_chip *chip)
{
    crossbar_rows rows;
    tn_axon_types types;
    parameters p;
    size_t n = chip->n_cores;
    tn_intern_init(&all->rows, sizeof(rows_key));
    tn_intern_init(&all->types, sizeof types);
    tn_intern_init(&all->parameters, chip->neurons * sizeof *chip->neuron_type);
    all->of_core = calloc(n + 1, sizeof *all->of_core);
    all->rows_core = calloc(n + 1, sizeof *all->rows_core);
    all->parameters_core = calloc(n + 1, sizeof *all->parameters_core);
    all->parameters_wide = calloc(n + 1, sizeof *all->parameters_wide);
    all->parameters_narrow = calloc(n + 1, sizeof *all->parameters_narrow);
    if (!all->of_core || !all->rows_core || !all->parameters_core || !all->parameters_wide || !all->parameters_narrow)
        return TN_ERROR_MEMORY;
    for (size_t c = 0; c < n; c++) {
        rows_key key = {.crossbar = (uint64_t)chip->crossbar_index[c]};
        tn_chip_used(chip, c, key.used);
        tn_chip_rows(chip, c, rows.rows);
        read_types(&types, chip, c);
        spread(&p, chip, c);
        size_t known_rows = all->rows.count, known_parameters = all->parameters.count;
        size_t row = tn_intern_add(&all->rows, &key), type = tn_intern_add(&all->types, &types);
        size_t parameter = tn_intern_add(&all->parameters, chip->neuron_type + c * chip->neurons);
        if (row == SIZE_MAX || type == SIZE_MAX || parameter == SIZE_MAX)
            return TN_ERROR_MEMORY;
        if (row == known_rows)
            all->rows_core[row] = (uint32_t)c;
        if (parameter == known_parameters)
            all->parameters_core[parameter] = (uint32_t)c;
        int wide = is_wide(&p, &rows, &types);
        uint32_t *number = (wide ? all->parameters_wide : all->parameters_narrow) + parameter;
        uint32_t *count = wide ? &all->n_wide : &all->n_narrow;
        if (!*number)
            *number = ++*count;
        all->of_core[c] =
            (references){(uint32_t)row, (uint32_t)type, (uint32_t)parameter, (uint8_t)wide, p.kind, p.draws};
    }
    return TN_OK;
}

static void fill_lanes(tn_tick_tables *tables, const tn_chip *chip, const collection *all)
{
    parameters p;
    int16_t(*narrow)[TN_FIELDS][TN_NEURONS] = tables->narrow;
    int32_t(*wide)[TN_FIELDS][TN_NEURONS] = tables->wide;
    uint8_t(*stochastic)[TN_NEURONS][TN_AXON_TYPES + 1] = tables->stochastic;
    for (size_t i = 0; i < all->parameters.count; i++) {
        spread(&p, chip, all->parameters_core[i]);
        memcpy(tables->initial[i], p.initial, sizeof p.initial);
        memcpy(stochastic[i], p.stochastic, sizeof p.stochastic);
        uint32_t n = all->parameters_narrow[i], w = all->parameters_wide[i];
        if (w)
            memcpy(wide[w - 1], p.field, sizeof p.field);
        for (int f = 0; n && f < TN_FIELDS; f++)
            for (int j = 0; j < TN_NEURONS; j++)
                narrow[n - 1][f][j] = (int16_t)p.field[f][j];
    }
}

static void point_cores(tn_tick_tables *tables, const collection *all)
{
    const crossbar_rows *rows = tables->rows;
    const tn_axon_types *types = tables->types;
    int16_t(*narrow)[TN_FIELDS][TN_NEURONS] = tables->narrow;
    int32_t(*wide)[TN_FIELDS][TN_NEURONS] = tables->wide;
    uint8_t(*stochastic)[TN_NEURONS][TN_AXON_TYPES + 1] = tables->stochastic;
    for (size_t c = 0; c < tables->n_cores; c++) {
        tn_core *core = &tables->cores[c];
        const references *r = &all->of_core[c];
        core->rows = rows[r->rows].rows;
        core->types = &types[r->types];
        core->lanes = r->wide ? (const void *)wide[all->parameters_wide[r->lanes] - 1]
                              : (const void *)narrow[all->parameters_narrow[r->lanes] - 1];
        core->stochastic = r->kind == TN_STOCHASTIC ? (const void *)stochastic[r->lanes] : NULL;
        core->potential = (uint8_t *)core->targets + potential_offset(tables);
        core->kind = r->kind;
        core->wide = r->wide;
        core->draws = r->draws;
        tables->initial_index[c] = r->lanes;
    }
}

static tn_error store(tn_tick_tables *tables, const tn_chip *chip, const collection *all, int with_palettes)
{
    size_t n = chip->n_cores, n_rows = all->rows.count, bytes = 0;
    tables->n_cores = n;
    tables->n_hop_planes = hop_planes(chip);
    for (size_t c = 0; c < n; c++)
        bytes += block_bytes(tables, all->of_core[c].wide);
    tables->cores = tn_allocate(n * sizeof *tables->cores);
    tables->blocks = tn_allocate(bytes);
    tables->initial_index = calloc(n + 1, sizeof *tables->initial_index);
    tables->seed = calloc(n + 1, sizeof *tables->seed);
    tables->initial = calloc(all->parameters.count + 1, sizeof *tables->initial);
    tables->stochastic = calloc(all->parameters.count + 1, sizeof(uint8_t[TN_NEURONS][TN_AXON_TYPES + 1]));
    tables->rows = tn_allocate(n_rows * sizeof(crossbar_rows));
    tables->types = tn_allocate(all->types.count * sizeof(tn_axon_types));
    tables->narrow = tn_allocate(all->n_narrow * sizeof(int16_t[TN_FIELDS][TN_NEURONS]));
    tables->wide = tn_allocate(all->n_wide * sizeof(int32_t[TN_FIELDS][TN_NEURONS]));
    if (!tables->cores || !tables->blocks || !tables->initial_index || !tables->seed || !tables->initial ||
        !tables->stochastic || !tables->rows || !tables->types || !tables->narrow || !tables->wide)
        return TN_ERROR_MEMORY;
    for (size_t i = 0; i < n_rows; i++)
        tn_chip_rows(chip, all->rows_core[i], ((crossbar_rows *)tables->rows)[i].rows);
    if (n)
        memcpy(tables->types, all->types.keys, all->types.count * sizeof(tn_axon_types));
    uint8_t *block = tables->blocks;
    for (size_t c = 0; c < n; c++) {
        read_connections(tables, chip, c, block);
        block += block_bytes(tables, all->of_core[c].wide);
    }
    fill_lanes(tables, chip, all);
    point_cores(tables, all);
    return with_palettes ? tn_tick_make_palettes(tables, all->n_narrow) : TN_OK;
}

tn_error tn_tick_build(tn_tick_tables *tables, const tn_chip *chip, int with_palettes)
{
    collection all;
    memset(&all, 0, sizeof all);
    memset(tables, 0, sizeof *tables);
    tn_error error = collect(&all, chip);
    if (!error)
        error = store(tables, chip, &all, with_palettes);
    collection_free(&all);
    if (error)
        tn_tick_tables_free(tables);
    return error;
}

void tn_tick_tables_free(tn_tick_tables *tables)
{
    free(tables->cores);
    free(tables->blocks);
    free(tables->initial);
    free(tables->initial_index);
    free(tables->seed);
    free(tables->rows);
    free(tables->types);
    free(tables->narrow);
    free(tables->wide);
    free(tables->stochastic);
    free(tables->palettes);
    free(tables->palette_index);
    memset(tables, 0, sizeof *tables);
}
