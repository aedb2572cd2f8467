/* The kernel for the commonest cores, part of tick_avx512.c: plain neurons of few types with small weights.
 *
 * Rows are added up, two axon types in one vector, by a tree of full adders without a loop or a branch, 15 rows of each
 * type at a time; rows that are missing are zeros. The four bit planes of each count are transposed to bytes and
 * multiplied by the weights, two types at a time, into 16-bit lanes.
 *
 * The tree loads its rows, and starts loading one row of the next core beside each, and the update lines of the next
 * core's block: a chip is larger than the caches, and memory answers fastest when it is asked all the time. */

enum { TREE = TN_TREE_ROWS - 1 };

/* Row pointers of the active axons from number `begin` of each type on. */
TN_FN static inline void point_rows(tn_turn *turn, uint32_t begin)
{
    static const uint64_t zero_row[TN_NEURON_WORDS] __attribute__((aligned(32))) = {0};
    const __m512i zeros = _mm512_set1_epi64((long long)(uintptr_t)zero_row);
    const __m512i base = _mm512_set1_epi64((long long)(uintptr_t)turn->core->rows);
    for (int g = 0; g < TN_AXON_TYPES; g++) {
        uint32_t left = turn->count[g] > begin ? turn->count[g] - begin : 0;
        uint32_t valid = (UINT32_C(1) << (left < TREE ? left : TREE)) - 1;
        __m128i axons = _mm_loadu_si128((const __m128i *)(turn->axons[g] + begin));
        for (int half = 0; half < 2; half++, axons = _mm_srli_si128(axons, 8)) {
            __m512i offset = _mm512_slli_epi64(_mm512_cvtepu8_epi64(axons), 5);
            _mm512_storeu_si512(&turn->rows[g][8 * half],
                                _mm512_mask_add_epi64(zeros, (__mmask8)(valid >> 8 * half), base, offset));
        }
    }
}

/* Sorts the numbers of the active axons by type. */
TN_FN static inline void list_active(tn_turn *turn)
{
    const tn_axon_types *types = turn->core->types;
    uint8_t axons[TN_AXONS + TN_LINE], type[TN_AXONS + TN_LINE];
    uint32_t count = list_bits(turn->active, axons), at = 0;
    for (int word = 0; word < TN_AXON_WORDS; word++) {
        __m512i low = _mm512_maskz_set1_epi8(types->low[word], 1);
        __m512i both = _mm512_mask_add_epi8(low, types->high[word], low, _mm512_set1_epi8(2));
        _mm512_storeu_si512(type + at, _mm512_maskz_compress_epi8(turn->active[word], both));
        at += (uint32_t)_mm_popcnt_u64(turn->active[word]);
    }
    memset(turn->count, 0, sizeof turn->count);
    for (uint32_t begin = 0; begin < count; begin += 64) {
        uint64_t valid = count - begin < 64 ? (UINT64_C(1) << (count - begin)) - 1 : ~UINT64_C(0);
        __m512i some = _mm512_loadu_si512(axons + begin), their = _mm512_loadu_si512(type + begin);
        for (int g = 0; g < TN_AXON_TYPES; g++) {
            uint64_t chosen = _mm512_mask_cmpeq_epi8_mask(valid, their, _mm512_set1_epi8((char)g));
            _mm512_storeu_si512(turn->axons[g] + turn->count[g], _mm512_maskz_compress_epi8(chosen, some));
            turn->count[g] += (uint32_t)_mm_popcnt_u64(chosen);
        }
    }
    turn->most = 0;
    for (int g = 0; g < TN_AXON_TYPES; g++)
        turn->most = turn->count[g] > turn->most ? turn->count[g] : turn->most;
    turn->listed = 1;
    point_rows(turn, 0);
}

/* Rows of types 2 * pair and 2 * pair + 1, one in each half; starts loading those of the next turn. */
TN_FN static inline __m512i load_rows(const tn_turn *turn, const tn_turn *ahead, int pair, int i)
{
    _mm_prefetch((const char *)ahead->rows[2 * pair][i], _MM_HINT_T0);
    _mm_prefetch((const char *)ahead->rows[2 * pair + 1][i], _MM_HINT_T0);
    __m512i even = _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)turn->rows[2 * pair][i]));
    return _mm512_inserti64x4(even, _mm256_load_si256((const __m256i *)turn->rows[2 * pair + 1][i]), 1);
}

/* The carry from a, b and c; their sum stays in a. */
TN_FN static inline __m512i full_adder(__m512i *a, __m512i b, __m512i c)
{
    __m512i carry = _mm512_ternarylogic_epi64(*a, b, c, 0xe8);
    *a = _mm512_ternarylogic_epi64(*a, b, c, 0x96);
    return carry;
}

/* The 15 rows of two types summed bit by bit to four planes. */
TN_FN static inline void add_tree(const tn_turn *turn, const tn_turn *ahead, int pair, __m512i planes[4])
{
#define ROW(i) load_rows(turn, ahead, pair, i)
    __m512i ones = ROW(0), a, b, c, twos, fours, d, e;
    twos = full_adder(&ones, ROW(1), ROW(2));
    a = full_adder(&ones, ROW(3), ROW(4));
    b = full_adder(&ones, ROW(5), ROW(6));
    fours = full_adder(&twos, a, b);
    a = full_adder(&ones, ROW(7), ROW(8));
    b = full_adder(&ones, ROW(9), ROW(10));
    d = full_adder(&twos, a, b);
    a = full_adder(&ones, ROW(11), ROW(12));
    c = full_adder(&ones, ROW(13), ROW(14));
    e = full_adder(&twos, a, c);
    planes[3] = full_adder(&fours, d, e);
    planes[2] = fours;
    planes[1] = twos;
    planes[0] = ones;
#undef ROW
}

/* Planes to bytes: the counts of a neuron's two types, in the low and the high four bits. Byte i of bytes[v] is neuron
 * 32 * v + i, and neuron 32 * v + 96 + i for i of 32 or more. */
TN_FN static inline void transpose(const __m512i planes[4], __m512i bytes[4])
{
    const __m512i unit = _mm512_set1_epi64((long long)UINT64_C(0x8040201008040201));
    const __m512i odd_even = _mm512_setr_epi32(8, 0, 9, 1, 10, 2, 11, 3, 12, 4, 13, 5, 14, 6, 15, 7);
    __m512i high[2] = {_mm512_unpacklo_epi8(planes[3], planes[2]), _mm512_unpackhi_epi8(planes[3], planes[2])};
    __m512i low[2] = {_mm512_unpacklo_epi8(planes[1], planes[0]), _mm512_unpackhi_epi8(planes[1], planes[0])};
    for (int v = 0; v < 4; v++) { /* eight bytes, one of each plane, become eight neurons' bytes */
        __m512i four = v % 2 ? _mm512_unpackhi_epi16(high[v / 2], low[v / 2])
                             : _mm512_unpacklo_epi16(high[v / 2], low[v / 2]);
        bytes[v] = _mm512_gf2p8affine_epi64_epi8(unit, _mm512_permutexvar_epi32(odd_even, four), 0);
    }
}

/* v[i], of neurons 32 * i to 32 * i + 31, += the counts times the weights. */
TN_FN static inline void multiply(__m512i v[8], const __m512i bytes[4], const __m512i index[8], __m512i weights)
{
    const __m512i digits = _mm512_set1_epi16(0x0f0f);
    for (int i = 0; i < 8; i++) {
        __m256i half = i < 4 ? _mm512_castsi512_si256(bytes[i]) : _mm512_extracti64x4_epi64(bytes[i - 4], 1);
        __m512i both = _mm512_cvtepu8_epi16(half);
        both = _mm512_ternarylogic_epi64(both, _mm512_slli_epi16(both, 4), digits, 0xa8); /* (a | b) & c */
        v[i] = _mm512_add_epi16(v[i], _mm512_maddubs_epi16(both, _mm512_permutexvar_epi16(index[i], weights)));
    }
}

TN_FN static uint32_t update_small(tn_turn *turn, tn_turn *next, uint64_t fired[TN_NEURON_WORDS])
{
    tn_core *core = turn->core;
    const tn_palette *palette = core->palette;
    const tn_turn *ahead = next ? next : turn;
    if (!turn->listed)
        list_active(turn);
    if (next)
        list_active(next);
    const __m512i leak = _mm512_loadu_si512(palette->field[TN_LEAK]);
    const __m512i floor = _mm512_loadu_si512(palette->field[TN_FLOOR]);
    const __m512i threshold = _mm512_loadu_si512(palette->field[TN_THRESHOLD]);
    const __m512i reset = _mm512_loadu_si512(palette->field[TN_RESET]);
    __m512i *potential = core->potential, v[8], index[8], events = _mm512_setzero_si512();
    for (int i = 0; i < 8; i++) {
        index[i] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(core->palette_index + 32 * i)));
        v[i] = _mm512_add_epi16(_mm512_load_si512(potential + i), _mm512_permutexvar_epi16(index[i], leak));
    }
    for (uint32_t begin = 0; begin < turn->most; begin += TREE) {
        if (begin)
            point_rows(turn, begin);
        for (int pair = 0; pair < TN_AXON_TYPES / 2; pair++) {
            __m512i planes[4], bytes[4], synapses = _mm512_setzero_si512();
            add_tree(turn, ahead, pair, planes);
            for (int p = 3; p >= 0; p--)
                synapses = _mm512_add_epi64(_mm512_add_epi64(synapses, synapses), _mm512_popcnt_epi64(planes[p]));
            events = _mm512_add_epi64(events, synapses);
            transpose(planes, bytes);
            multiply(v, bytes, index, _mm512_loadu_si512(palette->pair[pair]));
        }
    }

    const char *block = (const char *)ahead->core->targets;
    const uint8_t *index_ahead = ahead->core->palette ? ahead->core->palette_index : core->palette_index;
    __m512i changed = _mm512_setzero_si512();
    uint64_t any = 0;
    __mmask32 fires[8];
    for (int i = 0; i < 8; i++) {
        for (int line = 0; line < 4; line++)
            _mm_prefetch(block + TN_LINE * (4 * i + line), _MM_HINT_T0);
        _mm_prefetch((const char *)(index_ahead + 32 * i), _MM_HINT_T0);
        fires[i] = _mm512_cmpge_epi16_mask(v[i], _mm512_permutexvar_epi16(index[i], threshold));
        __m512i after = _mm512_max_epi16(v[i], _mm512_permutexvar_epi16(index[i], floor));
        after = _mm512_mask_permutexvar_epi16(after, fires[i], index[i], reset);
        changed = _mm512_ternarylogic_epi64(changed, after, _mm512_load_si512(potential + i), 0xf6); /* a | (b ^ c) */
        _mm512_store_si512(potential + i, after);
    }
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        fired[word] = ((uint64_t)fires[2 * word + 1] << 32 | fires[2 * word]) & core->used[word];
        any |= fired[word];
    }
    uint32_t count = (uint32_t)_mm512_reduce_add_epi64(events);
    core->quiet = !any && !count && !_mm512_test_epi64_mask(changed, changed);
    return count;
}
#define TN_SMALL_KERNEL update_small
