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

// What communities are told by. `strength` (count) is what a vertex counts in the expectation and `total` what the
// strengths are divided by: the sums of weights and their total for modularity, ones and 1 for the constant Potts model.
struct Expectation {
    const double* strength;
    double total;
};

// For each of the `resolutions` a community of each vertex, 0..k-1 in the order of their first vertices, written to
// labels (resolutions, count). The vertices are first joined into the small groups that hold together at the largest
// resolution, which none takes apart. `seed` orders the visits. Resolutions are shared out between threads; the answer
// does not depend on how many there are.
void layers_of_communities(const GraphView& graph, const Expectation& expected, const double* resolutions,
                           int64_t resolution_count, uint64_t seed, const Control& control, int32_t* labels);

// The same at one resolution for each of the `seeds`: `rounds` rounds of Leiden, at least one, from single vertices or,
// with a `grouping`, from the small groups that hold together at that resolution.
void runs_of_communities(const GraphView& graph, const Expectation& expected, double resolution, const uint64_t* seeds,
                         int64_t seed_count, int rounds, double grouping, const Control& control,
                         int32_t* labels);

}  // namespace shoal
