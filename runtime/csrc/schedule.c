#include "schedule.h"

#include <stdlib.h>
#include <string.h>

#include "memoryless.h"

static int32_t target_of(const tn_chip *chip, size_t i)
{
    return chip->neuron_type[i] >= 0 ? chip->target_core[i] : TN_UNCONNECTED;
}

tn_error tn_levels(const tn_chip *chip, uint32_t *level, size_t *n_levels)
{
    size_t n = chip->n_cores, m = chip->neurons, done = 0, found = 0;
    uint32_t *waiting = calloc(n + 1, sizeof *waiting), *queue = calloc(n + 1, sizeof *queue);
    if (!waiting || !queue) {
        free(waiting);
        free(queue);
        return TN_ERROR_MEMORY;
    }
    for (size_t i = 0; i < n * m; i++)
        if (target_of(chip, i) >= 0)
            waiting[target_of(chip, i)]++;
    for (size_t c = 0; c < n; c++) {
        level[c] = 0;
        if (!waiting[c])
            queue[found++] = (uint32_t)c;
    }
    *n_levels = 0;
    for (; done < found; done++) {
        size_t c = queue[done];
        if (level[c] + 1 > *n_levels)
            *n_levels = level[c] + 1;
        for (size_t i = c * m; i < (c + 1) * m; i++) {
            int32_t to = target_of(chip, i);
            if (to < 0)
                continue;
            if (level[to] < level[c] + 1)
                level[to] = level[c] + 1;
            if (!--waiting[to])
                queue[found++] = (uint32_t)to;
        }
    }
    free(waiting);
    free(queue);
    return done == n ? TN_OK : TN_ERROR_CYCLE;
}

/* Tarjan's strongly connected components, without recursion: components are numbered against the edges' direction. */
typedef struct {
    uint32_t *index, *low, *component, *stack, *path;
    size_t *next; /* by core: the next neuron to follow */
    uint8_t *on_stack;
} tarjan;

static void components(const tn_chip *chip, tarjan *t, size_t *n_components)
{
    size_t n = chip->n_cores, m = chip->neurons, stacked = 0, depth;
    uint32_t visited = 0;
    *n_components = 0;
    for (size_t root = 0; root < n; root++) {
        if (t->index[root])
            continue;
        depth = 0;
        t->path[depth++] = (uint32_t)root;
        while (depth) {
            uint32_t c = t->path[depth - 1];
            if (!t->index[c]) {
                t->index[c] = t->low[c] = ++visited;
                t->stack[stacked++] = c;
                t->on_stack[c] = 1;
            }
            int deeper = 0;
            for (; t->next[c] < m && !deeper; t->next[c]++) {
                int32_t to = target_of(chip, c * m + t->next[c]);
                if (to < 0)
                    continue;
                if (!t->index[to]) {
                    t->path[depth++] = (uint32_t)to;
                    deeper = 1;
                } else if (t->on_stack[to] && t->index[to] < t->low[c]) {
                    t->low[c] = t->index[to];
                }
            }
            if (deeper)
                continue;
            depth--;
            if (depth && t->low[c] < t->low[t->path[depth - 1]])
                t->low[t->path[depth - 1]] = t->low[c];
            if (t->low[c] != t->index[c])
                continue;
            uint32_t member;
            do {
                member = t->stack[--stacked];
                t->on_stack[member] = 0;
                t->component[member] = (uint32_t)*n_components;
            } while (member != c);
            ++*n_components;
        }
    }
}

/* component's stage: the parity its kind needs, at least every predecessor's stage. */
static void stages_of(const tn_chip *chip, const tarjan *t, size_t n_components, const uint8_t *odd, int32_t *of_component,
                      const uint32_t *by_component)
{
    size_t n = chip->n_cores, m = chip->neurons;
    for (size_t i = 0; i < n_components; i++)
        of_component[i] = odd[i];
    for (size_t k = n; k-- > 0;) { /* components in topological order */
        size_t c = by_component[k];
        int32_t stage = of_component[t->component[c]];
        for (size_t i = c * m; i < (c + 1) * m; i++) {
            int32_t to = target_of(chip, i);
            if (to < 0)
                continue;
            uint32_t other = t->component[to];
            int32_t least = stage + ((stage & 1) != odd[other]);
            if (of_component[other] < least)
                of_component[other] = least;
        }
    }
}

tn_error tn_stages(const tn_chip *chip, int32_t *stage)
{
    size_t n = chip->n_cores, m = chip->neurons, n_components;
    uint32_t *words = calloc(7 * (n + 1), sizeof *words);
    tarjan t = {words, words + (n + 1), words + 2 * (n + 1), words + 3 * (n + 1), words + 4 * (n + 1),
                calloc(n + 1, sizeof *t.next), calloc(n + 1, 1)};
    uint8_t *odd = calloc(n + 1, 1);
    int32_t *of_component = calloc(n + 1, sizeof *of_component);
    uint32_t *by_component = words + 5 * (n + 1), *begin = words + 6 * (n + 1);
    tn_error error = words && t.next && t.on_stack && odd && of_component ? TN_OK : TN_ERROR_MEMORY;
    if (!error) {
        components(chip, &t, &n_components);
        for (size_t c = 0; c < n; c++) {
            uint32_t own = t.component[c];
            begin[own + 1]++;
            for (size_t i = c * m; i < (c + 1) * m; i++) {
                int stateful = chip->neuron_type[i] >= 0 && !tn_memoryless(&chip->types, (size_t)chip->neuron_type[i]);
                int32_t to = target_of(chip, i);
                odd[own] |= stateful || (to >= 0 && t.component[to] == own);
            }
        }
        for (size_t i = 1; i < n_components; i++)
            begin[i] += begin[i - 1];
        for (size_t c = 0; c < n; c++)
            by_component[begin[t.component[c]]++] = (uint32_t)c;
        stages_of(chip, &t, n_components, odd, of_component, by_component);
        for (size_t c = 0; c < n; c++)
            stage[c] = of_component[t.component[c]];
    }
    free(words);
    free(t.next);
    free(t.on_stack);
    free(odd);
    free(of_component);
    return error;
}
