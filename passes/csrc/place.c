#include "place.h"

#include <math.h>

enum { LOG_STEPS = 4096 };

int tn_placement_ok(const tn_placement *p)
{
    if (!p->width || !p->height || p->width > 1 << 15 || p->height > 1 << 15 || p->n_cores > p->width * p->height ||
        p->first[0])
        return 0;
    for (size_t c = 0; c < p->n_cores; c++) /* rising up to the edge count, which the caller has compared */
        if (p->first[c + 1] < p->first[c])
            return 0;
    for (size_t x = 0; x < p->width; x++)
        if (p->column_at[x] < 0 || p->column_at[x] > 1 << 24)
            return 0;
    for (size_t y = 0; y < p->height; y++)
        if (p->row_at[y] < 0 || p->row_at[y] > 1 << 24)
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

/* How much the edges of core c grow when it goes from (ax, ay) to (bx, by); the edge to `partner` is left out. */
static int64_t growth(const tn_placement *p, int32_t c, int32_t ax, int32_t ay, int32_t bx, int32_t by,
                      int32_t partner)
{
    int64_t rise = 0;
    for (int64_t e = p->first[c], end = p->first[c + 1]; e < end; e++) {
        int32_t n = p->neighbor[e];
        int32_t x = p->at[2 * n], y = p->at[2 * n + 1];
        int32_t longer = distance(x, bx) + distance(y, by) - distance(x, ax) - distance(y, ay);
        rise += n == partner ? 0 : (int64_t)p->weight[e] * longer;
    }
    return rise;
}

int64_t tn_place_cost(const tn_placement *p)
{
    for (size_t c = 0; c < p->n_cores; c++) {
        p->at[2 * c] = p->column_at[(size_t)p->place[c] % p->width];
        p->at[2 * c + 1] = p->row_at[(size_t)p->place[c] / p->width];
    }
    int64_t twice = 0;
    for (size_t c = 0; c < p->n_cores; c++)
        for (int64_t e = p->first[c]; e < p->first[c + 1]; e++) {
            const int32_t *other = p->at + 2 * p->neighbor[e];
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
    uint64_t accepted = 0;
    int32_t width = (int32_t)p->width, height = (int32_t)p->height;
    for (uint64_t move = 0; move < moves && p->n_cores; move++) {
        uint64_t r = next_random(random), s = next_random(random);
        int32_t a = (int32_t)below((uint32_t)r, (uint32_t)p->n_cores);
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
        int64_t rise = growth(p, a, ax, ay, bx, by, b);
        if (b >= 0)
            rise += growth(p, b, bx, by, ax, ay, a);
        if (rise > 0 && rise > limit[next_random(random) >> 52])
            continue;
        p->grid[to] = a;
        p->grid[from] = b;
        p->place[a] = to;
        p->at[2 * a] = bx;
        p->at[2 * a + 1] = by;
        if (b >= 0) {
            p->place[b] = from;
            p->at[2 * b] = ax;
            p->at[2 * b + 1] = ay;
        }
        *cost += rise;
        accepted++;
    }
    return accepted;
}
