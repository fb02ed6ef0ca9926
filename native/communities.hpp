// Communities of a weighted graph by modularity at a resolution: the Leiden algorithm (Traag, Waltman and van Eck 2019).
#pragma once

#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace shoal {

// Neighbours of vertex v are to[start[v]..start[v + 1]), with their weights; every edge is there twice, no loops.
struct GraphView {
    int64_t count;
    const int64_t* start;
    const int32_t* to;
    const float* weight;
};

// For each of the `resolutions` a community of each vertex, 0..k-1 in the order of their first vertices, written to
// labels (resolutions, count). The vertices are first joined into the small groups that hold together at the largest
// resolution; each resolution starts from those, and `iterations` more rounds start from single vertices. `seed` orders
// the visits. `strength` (count) is what a vertex counts in the expectation and `total` what the strengths are divided
// by: the sums of weights and their total for modularity, ones and 1 for the constant Potts model. Resolutions are shared out between threads; the answer does not depend on how many there are.
void find_communities(const GraphView& graph, const double* strength, double total, const double* resolutions,
                      int64_t resolution_count, uint64_t seed, int iterations, const Control& control,
                      int32_t* labels);

}  // namespace shoal
