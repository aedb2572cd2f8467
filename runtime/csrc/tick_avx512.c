/* The tick engine's kernels for AVX-512. */
#include "tick_internal.h"

#if TN_HAS_X86
#include <immintrin.h>
#include <string.h>

#define TN_FN TN_TARGET_AVX512
#define TN_KERNELS tn_kernels_avx512

#define TN_V __m256i
#define TN_SUM3(a, b, c) _mm256_ternarylogic_epi64(a, b, c, 0x96)
#define TN_MAJORITY3(a, b, c) _mm256_ternarylogic_epi64(a, b, c, 0xe8)

TN_FN static inline void expand_planes(uint8_t count[TN_NEURONS], const uint64_t (*planes)[TN_NEURON_WORDS], int n)
{
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        __m512i sum = _mm512_setzero_si512();
        for (int p = 0; p < n; p++)
            sum = _mm512_mask_add_epi8(sum, planes[p][word], sum, _mm512_set1_epi8((char)(1 << p)));
        _mm512_store_si512(count + 64 * word, sum);
    }
}

TN_FN static inline void pack_bytes(const uint8_t *bytes, int n, uint64_t bits[TN_NEURON_WORDS])
{
    memset(bits, 0, TN_NEURON_WORDS * sizeof *bits);
    for (int word = 0; 64 * word < n; word++) {
        __m512i flags = _mm512_load_si512(bytes + 64 * word);
        bits[word] = _mm512_test_epi8_mask(flags, flags);
    }
}

TN_FN static inline uint32_t sum_bytes(const uint8_t count[TN_NEURONS])
{
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < TN_NEURONS; i += 64)
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_load_si512(count + i), _mm512_setzero_si512()));
    return (uint32_t)_mm512_reduce_add_epi64(sum);
}

TN_FN static uint32_t list_bits(const uint64_t bits[4], uint8_t numbers[256 + TN_LINE])
{
    static const uint8_t NUMBERS[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i number = _mm512_loadu_si512(NUMBERS);
    uint32_t count = 0;
    for (int word = 0; word < 4; word++) {
        _mm512_storeu_si512(numbers + count, _mm512_maskz_compress_epi8(bits[word], number));
        count += (uint32_t)_mm_popcnt_u64(bits[word]);
        number = _mm512_add_epi8(number, _mm512_set1_epi8(64));
    }
    return count;
}
#define TN_LIST list_bits

TN_FN static inline void list_active(tn_turn *turn)
{
    const __m512i one = _mm512_set1_epi8(1), two = _mm512_set1_epi8(2);
    const tn_axon_types *types = turn->core->types;
    uint32_t count = 0;
    for (int word = 0; word < TN_AXON_WORDS; word++) {
        __m512i type = _mm512_maskz_mov_epi8(types->low[word], one);
        type = _mm512_or_si512(type, _mm512_maskz_mov_epi8(types->high[word], two));
        _mm512_storeu_si512(turn->type + count, _mm512_maskz_compress_epi8(turn->active[word], type));
        count += (uint32_t)_mm_popcnt_u64(turn->active[word]);
    }
    turn->count = list_bits(turn->active, turn->axon);
    turn->listed = 1;
}

/* Eight vectors of 32 lanes += four of 64. */
TN_FN static inline void add_bytes(__m512i sum[8], const __m512i bytes[4])
{
    for (int i = 0; i < 4; i++) {
        sum[2 * i] = _mm512_add_epi16(sum[2 * i], _mm512_cvtepi8_epi16(_mm512_castsi512_si256(bytes[i])));
        sum[2 * i + 1] = _mm512_add_epi16(sum[2 * i + 1], _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(bytes[i], 1)));
    }
}

/* The simple kernel on narrow lanes for cores with a palette of small weights: every active axon's row masks an addition
 * of its type's weights to a byte a neuron. Beside every row, one row and one line of the next core's block start
 * loading, so that memory is never waited for nor asked for too much at once. */
TN_FN static uint32_t update_bytes(tn_turn *turn, tn_turn *next, uint64_t fired[TN_NEURON_WORDS])
{
    tn_core *core = turn->core;
    const tn_palette *palette = core->palette;
    const tn_turn *ahead = next ? next : turn;
    if (!turn->listed)
        list_active(turn);
    if (next)
        list_active(next);
    __m512i weights[TN_AXON_TYPES][4], sum[8], bytes[4];
    for (int i = 0; i < 4; i++) {
        __m512i index = _mm512_loadu_si512(core->palette_index + 64 * i);
        for (int g = 0; g < TN_AXON_TYPES; g++)
            weights[g][i] = _mm512_permutexvar_epi8(index, _mm512_load_si512(palette->weight[g]));
        sum[2 * i] = sum[2 * i + 1] = _mm512_setzero_si512();
    }
    const uint64_t(*rows)[TN_NEURON_WORDS] = core->rows, (*rows_ahead)[TN_NEURON_WORDS] = ahead->core->rows;
    const char *block = (const char *)ahead->core->targets, *index_ahead = (const char *)ahead->core->palette_index;
    uint32_t lines = ahead->core->block_lines, begin = 0;
    __m256i events = _mm256_setzero_si256();
    do {
        uint32_t end = turn->count - begin > palette->batch ? begin + palette->batch : turn->count;
        bytes[0] = bytes[1] = bytes[2] = bytes[3] = _mm512_setzero_si512();
        for (uint32_t i = begin; i < end; i++) {
            const uint64_t *row = rows[turn->axon[i]];
            const __m512i *weight = weights[turn->type[i]];
            for (int w = 0; w < 4; w++)
                bytes[w] = _mm512_mask_add_epi8(bytes[w], row[w], bytes[w], weight[w]);
            events = _mm256_add_epi64(events, _mm256_popcnt_epi64(_mm256_load_si256((const __m256i *)row)));
            _mm_prefetch((const char *)rows_ahead[ahead->axon[i]], _MM_HINT_T0);
            _mm_prefetch(block + TN_LINE * (i < lines ? i : 0), _MM_HINT_T0);
        }
        add_bytes(sum, bytes);
        begin = end;
    } while (begin < turn->count);
    for (uint32_t i = turn->count; i < ahead->count; i++)
        _mm_prefetch((const char *)rows_ahead[ahead->axon[i]], _MM_HINT_T0);
    for (uint32_t i = turn->count; i < lines; i++)
        _mm_prefetch(block + TN_LINE * i, _MM_HINT_T0);
    for (int i = 0; i < TN_NEURONS; i += TN_LINE)
        _mm_prefetch(index_ahead + i, _MM_HINT_T0);

    const __m512i leak = _mm512_load_si512(palette->field[TN_LEAK]), floor = _mm512_load_si512(palette->field[TN_FLOOR]);
    const __m512i threshold = _mm512_load_si512(palette->field[TN_THRESHOLD]);
    const __m512i reset = _mm512_load_si512(palette->field[TN_RESET]);
    __m512i changed = _mm512_setzero_si512();
    __mmask32 fires[8];
    for (int i = 0; i < 8; i++) {
        __m512i *potential = (__m512i *)core->potential + i, before = _mm512_load_si512(potential);
        __m512i index = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(core->palette_index + 32 * i)));
        __m512i v = _mm512_add_epi16(_mm512_add_epi16(before, sum[i]), _mm512_permutexvar_epi16(index, leak));
        fires[i] = _mm512_cmpge_epi16_mask(v, _mm512_permutexvar_epi16(index, threshold));
        v = _mm512_max_epi16(v, _mm512_permutexvar_epi16(index, floor));
        v = _mm512_mask_permutexvar_epi16(v, fires[i], index, reset);
        changed = _mm512_ternarylogic_epi64(changed, v, before, 0xf6); /* changed | (v ^ before) */
        _mm512_store_si512(potential, v);
    }
    uint64_t any = 0;
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        fired[word] = ((uint64_t)fires[2 * word + 1] << 32 | fires[2 * word]) & core->used[word];
        any |= fired[word];
    }
    events = _mm256_add_epi64(events, _mm256_permute4x64_epi64(events, 0x4e));
    uint32_t count = (uint32_t)(_mm256_extract_epi64(events, 0) + _mm256_extract_epi64(events, 1));
    core->quiet = !any && !count && !_mm512_test_epi64_mask(changed, changed);
    return count;
}
#define TN_BYTES_KERNEL update_bytes

#define TN_POPCOUNT (uint64_t)_mm_popcnt_u64
#include "tick_kernel.h"
#endif
