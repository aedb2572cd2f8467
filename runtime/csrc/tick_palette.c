/* Palettes: the parameters of cores with few different neuron types, a table and an index a neuron. */
#include <stdlib.h>
#include <string.h>

#include "intern.h"
#include "memory.h"
#include "tick_build.h"

/* In the order of their values, so that cores with the same types in other places share a palette. */
static void sort_palette(tn_palette *palette, uint8_t index[TN_NEURONS], int count)
{
    uint8_t place[TN_PALETTE];
    tn_palette sorted;
    memset(&sorted, 0, sizeof sorted);
    for (int k = 0; k < count; k++) {
        int before = 0;
        for (int other = 0; other < count; other++) {
            int f = 0;
            while (f < TN_SIMPLE_FIELDS - 1 && palette->field[f][other] == palette->field[f][k])
                f++;
            before += palette->field[f][other] < palette->field[f][k];
        }
        place[k] = (uint8_t)before;
        for (int f = 0; f < TN_SIMPLE_FIELDS; f++)
            sorted.field[f][before] = palette->field[f][k];
    }
    for (int j = 0; j < TN_NEURONS; j++)
        index[j] = place[index[j]];
    *palette = sorted;
}

/* The distinct columns of a core's simple fields, if few: index[j] into them. 0 where there are more than a palette has. */
static int find_palette(const int16_t lanes[TN_FIELDS][TN_NEURONS], tn_palette *palette, uint8_t index[TN_NEURONS])
{
    int count = 0;
    memset(palette, 0, sizeof *palette);
    for (int j = 0; j < TN_NEURONS; j++) {
        int k = 0;
        for (; k < count; k++) {
            int differs = 0;
            for (int f = 0; f < TN_SIMPLE_FIELDS; f++)
                differs |= palette->field[f][k] ^ lanes[f][j];
            if (!differs)
                break;
        }
        if (k == TN_PALETTE)
            return 0;
        for (int f = 0; k == count && f < TN_SIMPLE_FIELDS; f++)
            palette->field[f][k] = lanes[f][j];
        count += k == count;
        index[j] = (uint8_t)k;
    }
    sort_palette(palette, index, count);
    return 1;
}

static void pair_weights(tn_palette *palette)
{
    palette->small = 1;
    for (int g = 0; g < TN_AXON_TYPES; g++)
        for (int k = 0; k < TN_PALETTE; k++) {
            int weight = palette->field[TN_WEIGHT + g][k];
            palette->small &= weight >= INT8_MIN && weight <= INT8_MAX;
            palette->pair[g / 2][k] |= (int16_t)((weight & 255) << (g & 1) * 8);
        }
}

tn_error tn_tick_make_palettes(tn_tick_tables *tables, size_t n_narrow)
{
    int16_t(*narrow)[TN_FIELDS][TN_NEURONS] = tables->narrow;
    tn_intern unique;
    tn_intern_init(&unique, sizeof(tn_palette));
    uint32_t *number = calloc(n_narrow + 1, sizeof *number); /* 1 + the palette's number, or 0 */
    uint8_t(*index)[TN_NEURONS] = tables->palette_index = tn_allocate(n_narrow * sizeof *index);
    tn_error error = number && index ? TN_OK : TN_ERROR_MEMORY;
    for (size_t i = 0; !error && i < n_narrow; i++) {
        tn_palette palette;
        if (!find_palette((const int16_t(*)[TN_NEURONS])narrow[i], &palette, index[i]))
            continue;
        size_t found = tn_intern_add(&unique, &palette);
        if (found == SIZE_MAX)
            error = TN_ERROR_MEMORY;
        number[i] = (uint32_t)found + 1;
    }
    tn_palette *palettes = tables->palettes = error ? NULL : tn_allocate(unique.count * sizeof *palettes);
    if (palettes && unique.count)
        memcpy(palettes, unique.keys, unique.count * sizeof *palettes);
    for (size_t i = 0; palettes && i < unique.count; i++)
        pair_weights(&palettes[i]);
    for (size_t c = 0; palettes && c < tables->n_cores; c++) {
        tn_core *core = &tables->cores[c];
        if (core->wide || core->kind != TN_SIMPLE)
            continue;
        size_t lanes = (size_t)((const int16_t(*)[TN_FIELDS][TN_NEURONS])core->lanes - narrow);
        if (number[lanes] && palettes[number[lanes] - 1].small) {
            core->palette = &palettes[number[lanes] - 1];
            core->palette_index = index[lanes];
        }
    }
    tn_intern_free(&unique);
    free(number);
    return palettes ? TN_OK : TN_ERROR_MEMORY;
}
