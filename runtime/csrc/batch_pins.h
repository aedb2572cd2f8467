/* Part of csrc/batch_kernel.h: between bytes tick by tick, as callers have them, and rows of bits.
 *
 * Both ways go by 64 ticks, and within them by all pins of a job for one tick, so that memory is read and written in
 * stretches: what lies in the next tick is a page or more away. */

typedef uint8_t bytes16 __attribute__((vector_size(16), may_alias));
typedef TN_V unaligned_v __attribute__((aligned(1)));
#define TN_INTERLEAVE_LOW(a, b) \
    __builtin_shuffle(a, b, (bytes16){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23})
#define TN_INTERLEAVE_HIGH(a, b) \
    __builtin_shuffle(a, b, (bytes16){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31})
#define TN_EVEN(a, b) __builtin_shuffle(a, b, (bytes16){0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30})
#define TN_ODD(a, b) __builtin_shuffle(a, b, (bytes16){1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31})

enum { PIN_GROUPS = TN_PINS_A_JOB / 64, GROUP_VECTORS = 64 / (int)sizeof(TN_V) };

/* 64 pins in 64 ticks: byte p of [i]: bits of pin p in ticks 8 i to 8 i + 7. */
typedef struct {
    uint8_t bits[8][64] __attribute__((aligned(64)));
} pin_tile;

/* from[8][64] to to[64][8], by interleaving three times. */
TN_FN static inline void interleave(uint8_t *to, const uint8_t *from)
{
    for (int at = 0; at < 64; at += 16) {
        bytes16 a[8], b[8];
        for (int i = 0; i < 8; i++)
            a[i] = *(const bytes16 *)(from + 64 * i + at);
        for (int step = 0; step < 3; step++) {
            for (int i = 0; i < 4; i++) { /* rows i and i + 4 become rows 2 i and 2 i + 1, their bytes alternating */
                b[2 * i] = TN_INTERLEAVE_LOW(a[i], a[i + 4]);
                b[2 * i + 1] = TN_INTERLEAVE_HIGH(a[i], a[i + 4]);
            }
            memcpy(a, b, sizeof a);
        }
        memcpy(to + 8 * at, a, sizeof a);
    }
}

/* The other way: from[64][8] to to[8][64]. */
TN_FN static inline void deinterleave(uint8_t *to, const uint8_t *from)
{
    for (int at = 0; at < 64; at += 16) {
        bytes16 a[8], b[8];
        memcpy(a, from + 8 * at, sizeof a);
        for (int step = 0; step < 3; step++) {
            for (int i = 0; i < 4; i++) {
                b[i] = TN_EVEN(a[2 * i], a[2 * i + 1]);
                b[i + 4] = TN_ODD(a[2 * i], a[2 * i + 1]);
            }
            memcpy(a, b, sizeof a);
        }
        for (int i = 0; i < 8; i++)
            *(bytes16 *)(to + 64 * i + at) = a[i];
    }
}

/* Byte p of to: bits of pin p in eight ticks, whose rows of bytes (0 or 1) lie `stride` bytes apart. */
TN_FN static INLINE void pack_ticks(uint8_t *to, const uint8_t *pins, size_t stride)
{
    for (int i = 0; i < GROUP_VECTORS; i++) {
        TN_V bits = TN_SPLAT(0);
        for (size_t t = 0; t < 8; t++)
            bits |= TN_SHIFT_LEFT(*(const unaligned_v *)(pins + t * stride + (size_t)i * sizeof(TN_V)), t);
        ((TN_V *)to)[i] = bits;
    }
}

/* Eight ticks of a job's n pins, byte by byte (0 or 1), to row `i` of the tiles. */
TN_FN static INLINE void pack_stretch(pin_tile *tiles, int i, const uint8_t *pins, size_t stride, size_t n, size_t ticks)
{
    uint8_t edge[8][64];
    for (size_t g = 0; 64 * g < n; g++, pins += 64) {
        size_t here = n - 64 * g;
        if (here >= 64 && ticks >= 8) {
            pack_ticks(tiles[g].bits[i], pins, stride);
            continue;
        }
        memset(edge, 0, sizeof edge);
        for (size_t t = 0; t < 8 && t < ticks; t++)
            memcpy(edge[t], pins + t * stride, here < 64 ? here : 64);
        pack_ticks(tiles[g].bits[i], edge[0], 64);
    }
}

TN_FN static void pack_pins(const tn_block *block, const uint8_t *pins, size_t first)
{
    size_t all = block->tables->input_pins, n = all - first < TN_PINS_A_JOB ? all - first : TN_PINS_A_JOB;
    const uint32_t *signal = block->tables->pin_signals + first;
    pin_tile tiles[PIN_GROUPS];
    row trains[TN_PINS_A_JOB];
    memset(trains, 0, sizeof trains);
    for (size_t begin = 0; pins && begin < block->ticks; begin += 64) {
        size_t ticks = block->ticks - begin < 64 ? block->ticks - begin : 64;
        if (ticks < 64)
            memset(tiles, 0, sizeof tiles);
        for (size_t tick = 0; tick < ticks; tick += 8)
            pack_stretch(tiles, (int)tick / 8, pins + (begin + tick) * all + first, all, n, ticks - tick);
        for (size_t g = 0; 64 * g < n; g++) {
            uint64_t words[64] __attribute__((aligned(64)));
            interleave((uint8_t *)words, tiles[g].bits[0]);
            for (size_t p = 0; p < 64; p++)
                ((uint64_t *)&trains[64 * g + p])[begin / 64] = words[p];
        }
    }
    for (size_t p = 0; p < n; p++)
        emit_all(block, &trains[p], signal[p], signal[p + 1]);
}

/* One tick of a job's n outputs, byte by byte. */
TN_FN static INLINE void unpack_tick(uint8_t *to, const pin_tile *tiles, size_t n, size_t tick)
{
    for (size_t g = 0; 64 * g < n; g++, to += 64) {
        size_t here = n - 64 * g;
        uint8_t edge[64] __attribute__((aligned(64)));
        for (int i = 0; i < GROUP_VECTORS; i++) {
            TN_V bits = ((const TN_V *)tiles[g].bits[tick / 8])[i];
            bits = TN_SHIFT_RIGHT(bits, tick % 8) & TN_SPLAT(UINT64_C(0x0101010101010101));
            if (here >= 64)
                ((unaligned_v *)to)[i] = bits;
            else
                ((TN_V *)edge)[i] = bits;
        }
        if (here < 64)
            memcpy(to, edge, here);
    }
}

/* memcpy past the caches: what is written is not read here, and would push out what is. */
TN_FN static INLINE void copy_past_caches(uint8_t *to, const uint8_t *from, size_t n)
{
    size_t head = -(uintptr_t)to % sizeof(TN_V);
    if (head > n)
        head = n;
    memcpy(to, from, head);
    for (to += head, from += head, n -= head; n >= sizeof(TN_V); to += sizeof(TN_V), from += sizeof(TN_V), n -= sizeof(TN_V))
        TN_STREAM((TN_V *)to, *(const unaligned_v *)from);
    memcpy(to, from, n);
}

TN_FN static void write_outputs(const tn_block *block, uint8_t *outputs, size_t first)
{
    const tn_batch_tables *tables = block->tables;
    size_t all = tables->output_pins, n = all - first < TN_PINS_A_JOB ? all - first : TN_PINS_A_JOB;
    const uint32_t *signal = tables->output_begin + first;
    pin_tile tiles[PIN_GROUPS];
    for (size_t begin = 0; begin < block->ticks; begin += 64) {
        size_t ticks = block->ticks - begin < 64 ? block->ticks - begin : 64;
        for (size_t g = 0; 64 * g < n; g++) {
            uint64_t words[64] __attribute__((aligned(64))) = {0};
            for (size_t p = 64 * g; p < 64 * (g + 1) && p < n; p++)
                for (uint32_t i = signal[p]; i < signal[p + 1]; i++)
                    words[p - 64 * g] |= block->rows[tables->output_signals[i]][begin / 64];
            deinterleave(tiles[g].bits[0], (const uint8_t *)words);
        }
        for (size_t tick = 0; tick < ticks; tick++) {
            uint8_t line[TN_PINS_A_JOB] __attribute__((aligned(64)));
            unpack_tick(line, tiles, n, tick);
            copy_past_caches(outputs + (begin + tick) * all + first, line, n);
        }
    }
    TN_STREAMED();
}
