#include "chip.h"

#include <string.h>

static int in_range(const int32_t *values, size_t count, int64_t low, int64_t end)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] < low || values[i] >= end)
            return 0;
    return 1;
}

static int check_types(const tn_neuron_types *types)
{
    for (size_t i = 0; i < types->n_types; i++) {
        for (int g = 0; g < TN_AXON_TYPES; g++)
            if (types->weights[4 * i + g] < -255 || types->weights[4 * i + g] > 255)
                return 0;
        if (types->leak[i] < -255 || types->leak[i] > 255 || types->threshold_random_bits[i] > 18 ||
            types->reset_mode[i] > 2)
            return 0;
    }
    return in_range(types->threshold, types->n_types, 0, 1 << 18) &&
           in_range(types->negative_threshold, types->n_types, 0, 1 << 18) &&
           in_range(types->reset_potential, types->n_types, TN_POTENTIAL_MIN, TN_POTENTIAL_MAX + 1) &&
           in_range(types->initial_potential, types->n_types, TN_POTENTIAL_MIN, TN_POTENTIAL_MAX + 1);
}

static int check_targets(const tn_chip *chip)
{
    for (size_t i = 0; i < chip->n_cores * chip->neurons; i++) {
        int32_t core = chip->target_core[i], axon = chip->target_axon[i];
        if (core < TN_OUTPUT || core >= (int64_t)chip->n_cores || chip->target_hops[i] < 0)
            return 0;
        if (core >= 0 && (axon < 0 || (size_t)axon >= chip->axons || chip->target_delay[i] < 1 ||
                          chip->target_delay[i] >= TN_DELAY_SLOTS))
            return 0;
        if (core == TN_OUTPUT && (axon < 0 || (size_t)axon >= chip->output_pins))
            return 0;
    }
    return 1;
}

static int check_inputs(const tn_chip *chip)
{
    for (size_t i = 0; i < chip->n_inputs; i++)
        if (chip->input_delay[i] < 1 || chip->input_delay[i] >= TN_DELAY_SLOTS ||
            (i && chip->input_pin[i] < chip->input_pin[i - 1]))
            return 0;
    return in_range(chip->input_pin, chip->n_inputs, 0, (int64_t)chip->input_pins) &&
           in_range(chip->input_core, chip->n_inputs, 0, (int64_t)chip->n_cores) &&
           in_range(chip->input_axon, chip->n_inputs, 0, (int64_t)chip->axons);
}

tn_error tn_chip_check(const tn_chip *chip)
{
    if (chip->axons < 1 || chip->axons > TN_AXONS || chip->neurons < 1 || chip->neurons > TN_NEURONS ||
        chip->n_cores > TN_MAX_CORES || chip->input_pins > INT32_MAX || chip->output_pins > INT32_MAX)
        return TN_ERROR_CHIP;
    for (size_t i = 0; i < chip->n_axon_type_rows * chip->axons; i++)
        if (chip->axon_types[i] >= TN_AXON_TYPES)
            return TN_ERROR_CHIP;
    int ok = check_types(&chip->types) && check_targets(chip) && check_inputs(chip) &&
             in_range(chip->crossbar_index, chip->n_cores, 0, (int64_t)chip->n_crossbars) &&
             in_range(chip->axon_types_index, chip->n_cores, 0, (int64_t)chip->n_axon_type_rows) &&
             in_range(chip->neuron_type, chip->n_cores * chip->neurons, -1, (int64_t)chip->types.n_types);
    return ok ? TN_OK : TN_ERROR_CHIP;
}

void tn_chip_used(const tn_chip *chip, size_t core, uint64_t used[TN_NEURON_WORDS])
{
    const int32_t *type = chip->neuron_type + core * chip->neurons;
    memset(used, 0, TN_NEURON_WORDS * sizeof *used);
    for (size_t j = 0; j < chip->neurons; j++)
        if (type[j] >= 0)
            used[j / 64] |= UINT64_C(1) << j % 64;
}

void tn_chip_rows(const tn_chip *chip, size_t core, uint64_t rows[TN_AXONS][TN_NEURON_WORDS])
{
    size_t row_bytes = (chip->neurons + 7) / 8;
    const uint8_t *crossbar = chip->crossbars + (size_t)chip->crossbar_index[core] * chip->axons * row_bytes;
    uint64_t used[TN_NEURON_WORDS];
    tn_chip_used(chip, core, used);
    memset(rows, 0, sizeof(uint64_t[TN_AXONS][TN_NEURON_WORDS]));
    for (size_t i = 0; i < chip->axons; i++) {
        for (size_t byte = 0; byte < row_bytes; byte++)
            rows[i][byte / 8] |= (uint64_t)crossbar[i * row_bytes + byte] << 8 * (byte % 8);
        for (int w = 0; w < TN_NEURON_WORDS; w++)
            rows[i][w] &= used[w];
    }
}
