/* Simulated annealing of cores on a mesh: the inner loop of place-cores.
 *
 * Cores are joined by weighted edges; the cost is the sum over edges of weight * (|X_a - X_b| + |Y_a - Y_b|), where X
 * and Y are given per column and row, so that a step across a chip's edge can count for more than one hop. All
 * arithmetic on costs is in integers: the same input gives the same placement everywhere.
 *
 * Every array belongs to the caller; nothing is allocated. */
#ifndef TN_PLACE_H
#define TN_PLACE_H

#include <stddef.h>
#include <stdint.h>

enum {
    TN_PLACE_FREE = -1,
    TN_PLACE_BLOCKED = -2,
    TN_PLACE_FARTHEST = (1 << 14) - 1, /* the greatest X and Y */
};

typedef struct {
    size_t n_cores, width, height;
    const int64_t *first;    /* [n_cores + 1]: edges of core c are first[c] .. first[c + 1] - 1; every edge both ways */
    const int32_t *neighbor; /* [edges] */
    const int32_t *weight;   /* [edges], >= 0 */
    const int32_t *column_at; /* [width]: X of a column, 0 .. TN_PLACE_FARTHEST */
    const int32_t *row_at;    /* [height] */
    int32_t *grid;  /* [height * width]: the core on a place, TN_PLACE_FREE or TN_PLACE_BLOCKED */
    int32_t *place; /* [n_cores]: index into grid */
    int16_t *at;    /* [n_cores, 2]: scratch; X and Y of every core, set by tn_place_cost */
} tn_placement;

/* Whether every index is in range, grid and places agree, and costs cannot overflow. */
int tn_placement_ok(const tn_placement *p);

/* The cost; sets p->at from p->place. */
int64_t tn_place_cost(const tn_placement *p);

/* Tries `moves` moves: a random core goes to a random place within `window` columns and rows of its own place or, every
 * other time, of a neighbour's; a core that is there takes its place in exchange. A move that changes the cost by d
 * is accepted with probability min(1, exp(-d / temperature)); temperature 0 accepts no rise. *random is the state of
 * the generator, any number. p->at must be set. Returns how many moves were accepted; adds their changes to *cost. */
uint64_t tn_place_anneal(tn_placement *p, uint64_t moves, double temperature, int32_t window, uint64_t *random,
                         int64_t *cost);

#endif
