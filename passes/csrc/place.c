#include "place.h"

#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define TN_PLACE_AVX2 1
#endif

enum {
    LOG_STEPS = 4096,
    LINE = 16,    /* edges in a cache line */
    FETCHED = 48, /* edges of the next core fetched ahead */
};

int tn_placement_ok(const tn_placement *p)
{
    if (!p->width || !p->height || p->width > 1 << 15 || p->height > 1 << 15 || p->n_cores > p->width * p->height ||
        p->first[0])
        return 0;
    for (size_t c = 0; c < p->n_cores; c++) /* rising up to the edge count, which the caller has compared */
        if (p->first[c + 1] < p->first[c])
            return 0;
    for (size_t x = 0; x < p->width; x++)
        if (p->column_at[x] < 0 || p->column_at[x] > TN_PLACE_FARTHEST)
            return 0;
    for (size_t y = 0; y < p->height; y++)
        if (p->row_at[y] < 0 || p->row_at[y] > TN_PLACE_FARTHEST)
            return 0;
    int64_t total = 0;
    for (size_t c = 0; c < p->n_cores; c++) {
        if (p->place[c] < 0 || (size_t)p->place[c] >= p->width * p->height || p->grid[p->place[c]] != (int32_t)c)
            return 0;
        for (int64_t e = p->first[c]; e < p->first[c + 1]; e++) {
            if (p->neighbor[e] < 0 || (size_t)p->neighbor[e] >= p->n_cores || p->weight[e] < 0)
                return 0;
            total += p->weight[e];
            if (total > INT64_MAX >> 28)
                return 0;
        }
    }
    for (size_t i = 0; i < p->width * p->height; i++) {
        int32_t c = p->grid[i];
        if (c >= 0 && ((size_t)c >= p->n_cores || (size_t)p->place[c] != i))
            return 0;
    }
    return 1;
}

static int32_t distance(int32_t a, int32_t b)
{
    return a < b ? b - a : a - b;
}

/* A move of one core, in X and Y. */
typedef struct {
    int32_t ax, ay, bx, by;
} step;

/* How much edges first .. end - 1 grow when the core they belong to goes from (ax, ay) to (bx, by). Edges to `partner`
 * are left out. */
static int64_t growth_scalar(const tn_placement *p, int64_t first, int64_t end, step s, int32_t partner)
{
    int64_t rise = 0;
    for (int64_t e = first; e < end; e++) {
        int32_t n = p->neighbor[e];
        int32_t x = p->at[2 * (int64_t)n], y = p->at[2 * (int64_t)n + 1];
        int32_t longer = distance(x, s.bx) + distance(y, s.by) - distance(x, s.ax) - distance(y, s.ay);
        rise += n == partner ? 0 : (int64_t)p->weight[e] * longer;
    }
    return rise;
}

#ifdef TN_PLACE_AVX2
/* The same, eight edges at a time. */
__attribute__((target("avx2"))) static int64_t growth_avx2(const tn_placement *p, int64_t first, int64_t end, step s,
                                                           int32_t partner)
{
    const __m256i from = _mm256_set1_epi32((int32_t)((uint32_t)s.ay << 16 | (uint32_t)s.ax));
    const __m256i to = _mm256_set1_epi32((int32_t)((uint32_t)s.by << 16 | (uint32_t)s.bx));
    const __m256i left_out = _mm256_set1_epi32(partner), ones = _mm256_set1_epi16(1);
    __m256i even = _mm256_setzero_si256(), odd = even;
    int64_t e = first;
    for (; e + 8 <= end; e += 8) {
        __m256i n = _mm256_loadu_si256((const __m256i *)(const void *)(p->neighbor + e));
        __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p->weight + e));
        __m256i at = _mm256_i32gather_epi32((const int *)(const void *)p->at, n, 4);
        __m256i longer = _mm256_madd_epi16(_mm256_sub_epi16(_mm256_abs_epi16(_mm256_sub_epi16(at, to)),
                                                            _mm256_abs_epi16(_mm256_sub_epi16(at, from))),
                                           ones);
        w = _mm256_andnot_si256(_mm256_cmpeq_epi32(n, left_out), w);
        even = _mm256_add_epi64(even, _mm256_mul_epi32(w, longer));
        odd = _mm256_add_epi64(odd, _mm256_mul_epi32(_mm256_srli_epi64(w, 32), _mm256_srli_epi64(longer, 32)));
    }
    int64_t lanes[4];
    _mm256_storeu_si256((__m256i *)(void *)lanes, _mm256_add_epi64(even, odd));
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + growth_scalar(p, e, end, s, partner);
}
#endif

typedef int64_t growth_function(const tn_placement *, int64_t, int64_t, step, int32_t);

static growth_function *fastest_growth(void)
{
#ifdef TN_PLACE_AVX2
    if (__builtin_cpu_supports("avx2"))
        return growth_avx2;
#endif
    return growth_scalar;
}

int64_t tn_place_cost(const tn_placement *p)
{
    for (size_t c = 0; c < p->n_cores; c++) {
        p->at[2 * c] = (int16_t)p->column_at[(size_t)p->place[c] % p->width];
        p->at[2 * c + 1] = (int16_t)p->row_at[(size_t)p->place[c] / p->width];
    }
    int64_t twice = 0;
    for (size_t c = 0; c < p->n_cores; c++)
        for (int64_t e = p->first[c]; e < p->first[c + 1]; e++) {
            const int16_t *other = p->at + 2 * (size_t)p->neighbor[e];
            twice += (int64_t)p->weight[e] * (distance(other[0], p->at[2 * c]) + distance(other[1], p->at[2 * c + 1]));
        }
    return twice / 2;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t bits, uint32_t n)
{
    return (uint32_t)((uint64_t)bits * n >> 32);
}

/* A place within `window` of `at`, inside 0 .. size - 1. */
static int32_t near(uint32_t bits, int32_t at, int32_t window, int32_t size)
{
    int32_t low = at > window ? at - window : 0;
    int32_t high = at < size - 1 - window ? at + window : size - 1;
    return low + (int32_t)below(bits, (uint32_t)(high - low + 1));
}

/* Fetches the edges of a core that is about to move. */
static void fetch_edges(const tn_placement *p, int32_t core)
{
    int64_t first = p->first[core], end = p->first[core + 1];
    if (end > first + FETCHED)
        end = first + FETCHED;
    for (int64_t e = first; e < end; e += LINE) {
        __builtin_prefetch(p->neighbor + e);
        __builtin_prefetch(p->weight + e);
    }
}

uint64_t tn_place_anneal(tn_placement *p, uint64_t moves, double temperature, int32_t window, uint64_t *random,
                         int64_t *cost)
{
    int64_t limit[LOG_STEPS]; /* a rise of up to limit[u] is accepted on draw u */
    for (int i = 0; i < LOG_STEPS; i++)
        limit[i] = (int64_t)(-temperature * log((i + 0.5) / LOG_STEPS));
    if (window < 1)
        window = 1;
    if (window > 1 << 15)
        window = 1 << 15;
    growth_function *growth = fastest_growth();
    uint64_t accepted = 0;
    int32_t width = (int32_t)p->width, height = (int32_t)p->height;
    uint64_t next = next_random(random);
    for (uint64_t move = 0; move < moves && p->n_cores; move++) {
        uint64_t r = next, s = next_random(random);
        int32_t a = (int32_t)below((uint32_t)r, (uint32_t)p->n_cores);
        next = next_random(random);
        fetch_edges(p, (int32_t)below((uint32_t)next, (uint32_t)p->n_cores));
        int32_t from = p->place[a], centre = from;
        int64_t degree = p->first[a + 1] - p->first[a];
        if (move & 1 && degree && degree < INT32_MAX)
            centre = p->place[p->neighbor[p->first[a] + below((uint32_t)(r >> 32), (uint32_t)degree)]];
        int32_t x = near((uint32_t)(s >> 32), centre % width, window, width);
        int32_t y = near((uint32_t)s, centre / width, window, height);
        int32_t to = y * width + x, b = p->grid[to];
        if (b == TN_PLACE_BLOCKED || b == a)
            continue;
        int32_t ax = p->at[2 * a], ay = p->at[2 * a + 1], bx = p->column_at[x], by = p->row_at[y];
        int64_t rise = growth(p, p->first[a], p->first[a + 1], (step){ax, ay, bx, by}, b);
        if (b >= 0)
            rise += growth(p, p->first[b], p->first[b + 1], (step){bx, by, ax, ay}, a);
        if (rise > 0 && rise > limit[next_random(random) >> 52])
            continue;
        p->grid[to] = a;
        p->grid[from] = b;
        p->place[a] = to;
        p->at[2 * a] = (int16_t)bx;
        p->at[2 * a + 1] = (int16_t)by;
        if (b >= 0) {
            p->place[b] = from;
            p->at[2 * b] = (int16_t)ax;
            p->at[2 * b + 1] = (int16_t)ay;
        }
        *cost += rise;
        accepted++;
    }
    return accepted;
}
