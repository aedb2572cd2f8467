/* The neuron update for one width of lane (TN_LANE, TN_NAME, TN_WIDE); included twice by tick_kernel.h.
 *
 * Narrow lanes are used only where no potential can leave int16_t, so only wide ones need the 20-bit saturation. */

TN_FN static inline void TN_NAME(add_left)(const tn_core *core, const TN_LANE (*field)[TN_NEURONS], int left)
{
    TN_LANE *potential = core->potential;
    for (int g = 0; g < TN_AXON_TYPES; g++)
        if (tn_of_type(core, g, left / 64, UINT64_C(1) << left % 64))
            for (int j = 0; j < core->lanes_used; j++)
                if (core->rows[left][j / 64] >> j % 64 & 1)
                    potential[j] = (TN_LANE)(potential[j] + field[TN_WEIGHT + g][j]);
}

/* Always inline: `is_general` has to be a constant. */
TN_FN static inline __attribute__((always_inline)) uint32_t
TN_NAME(update)(tn_turn *turn, const tn_turn *next, uint64_t fired[TN_NEURON_WORDS], const int is_general)
{
    tn_core *core = turn->core;
    const TN_LANE(*field)[TN_NEURONS] = core->lanes;
    TN_LANE *restrict potential = core->potential;
    uint8_t counts[TN_AXON_TYPES][TN_NEURONS] __attribute__((aligned(64)));
    uint8_t fires[TN_NEURONS] __attribute__((aligned(64)));
    TN_LANE eta[TN_NEURONS] __attribute__((aligned(64)));
    TN_LANE changed = 0;
    int lanes = core->lanes_used, left;
    uint32_t events = count_active(core, turn->active, counts, &left);
    if (next)
        tn_prefetch_rows(next);
    if (left >= 0)
        TN_NAME(add_left)(core, field, left);
    if (is_general && core->draws) {
        for (int j = 0; j < lanes; j++) {
            TN_LANE mask = field[TN_RANDOM_MASK][j];
            eta[j] = mask ? (TN_LANE)(tn_draw(&core->random) & (uint32_t)mask) : 0;
        }
    } else if (is_general) {
        memset(eta, 0, sizeof eta);
    }
    for (int j = 0; j < lanes; j++) {
        TN_LANE before = potential[j];
        TN_LANE v = (TN_LANE)(before + field[0][j] * counts[0][j] + field[1][j] * counts[1][j] +
                              field[2][j] * counts[2][j] + field[3][j] * counts[3][j]);
        TN_LANE leak = field[TN_LEAK][j];
        if (is_general) {
            TN_LANE signed_leak = (TN_LANE)(v > 0 ? leak : v < 0 ? -leak : 0);
            leak = field[TN_REVERSAL][j] ? signed_leak : leak;
        }
        v = (TN_LANE)(v + leak);
#if TN_WIDE
        v = v < TN_POTENTIAL_MIN ? TN_POTENTIAL_MIN : v > TN_POTENTIAL_MAX ? TN_POTENTIAL_MAX : v;
#endif
        TN_LANE after, floor = field[TN_FLOOR][j], upper = field[TN_THRESHOLD][j];
        if (is_general) {
            TN_LANE mode = field[TN_MODE][j], saturate = field[TN_SATURATE][j], cap = field[TN_CAP][j];
            upper = (TN_LANE)(upper + eta[j]);
            TN_LANE lower = (TN_LANE)(floor - (saturate ? 0 : eta[j]));
            TN_LANE capped = v < cap ? v : cap;
            TN_LANE above = (TN_LANE)(v - upper), below = (TN_LANE)(v - lower);
            above = mode == 0 ? field[TN_RESET][j] : mode == 1 ? above : capped;
            below = mode == 0 ? field[TN_NEGATIVE_RESET][j] : mode == 1 ? below : v;
            below = saturate ? floor : below;
            after = v < lower ? below : v;
            after = v >= upper ? above : after;
        } else {
            TN_LANE reset = field[TN_RESET][j];
            after = v < floor ? floor : v;
            after = v >= upper ? reset : after;
        }
        fires[j] = v >= upper;
        changed |= (TN_LANE)(after ^ before);
        potential[j] = after;
    }
    pack_bytes(fires, lanes, fired);
    uint64_t any = 0;
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        fired[word] &= core->used[word];
        any |= fired[word];
    }
    core->quiet = !any && !changed && !events && !(is_general && core->draws);
    return events;
}

TN_FN static uint32_t TN_NAME(simple)(tn_turn *turn, tn_turn *next, uint64_t fired[TN_NEURON_WORDS])
{
    return TN_NAME(update)(turn, next, fired, 0);
}

TN_FN static uint32_t TN_NAME(general)(tn_turn *turn, tn_turn *next, uint64_t fired[TN_NEURON_WORDS])
{
    return TN_NAME(update)(turn, next, fired, 1);
}
