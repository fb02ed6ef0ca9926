// Communities of a weighted graph by modularity at a resolution: the Leiden algorithm (Traag, Waltman and van Eck 2019).
#pragma once

#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace shoal {

// Neighbours of vertex v are to[start[v]..start[v + 1]), with their weights; every edge is stored twice, no loops.
struct GraphView {
    int64_t count;
    const int64_t* start;
    const int32_t* to;
    const float* weight;
};

struct OwnedGraph {
    std::vector<int64_t> start;
    std::vector<int32_t> to;
    std::vector<float> weight;
};

// Terms of the quality function. `strength` (count) is the weight of a vertex in the expectation and `total` the
// divisor of the strengths: the sums of weights and their total for modularity, ones and 1 for the constant Potts
// model.
struct Expectation {
    const double* strength;
    double total;
};

// Constraints: vertices of one of the `groups` stay together, and edges between different values of `within` do not
// count. Both have an entry per vertex, or are null.
struct Given {
    const int32_t* groups = nullptr;
    const int32_t* within = nullptr;
};

// Small groups that stay together at a resolution, numbered by first vertex: the result of two sweeps of moves,
// refined, merged further until there are at most `most` or hardly fewer than before. Vertices are processed in blocks
// of 16384, which costs little if near vertices have near numbers; a vertex with less than half of its weight inside
// its own block stays single at first. Returns the number of groups.
int32_t groups_of_vertices(const GraphView& graph, const Expectation& expected, double resolution, int64_t most,
                           const Control& control, int32_t* labels);

// For each of the `resolutions` the community of each vertex, numbered by first vertex, written to labels (resolutions,
// count). The groups are first merged further, to at most a few thousand that stay together at the largest resolution.
// `seed` determines the visiting order. Resolutions are distributed over threads; the result does not depend on how
// many there are.
void layers_of_communities(const GraphView& graph, const Expectation& expected, const Given& given,
                           const double* resolutions, int64_t resolution_count, uint64_t seed, const Control& control,
                           int32_t* labels);

// As above, at one resolution for each of the `seeds`: `rounds` rounds of Leiden, at least one, from the given groups.
void runs_of_communities(const GraphView& graph, const Expectation& expected, const Given& given, double resolution,
                         const uint64_t* seeds, int64_t seed_count, int rounds, const Control& control,
                         int32_t* labels);

// The graph between groups 0..group_count-1 with summed weights, ascending.
OwnedGraph joined_groups(const GraphView& graph, const int32_t* groups, int32_t group_count, const Control& control);

// The groups of vertices that no labelling of `labels` (layer_count, count) separates, numbered by first vertex.
void common_groups(const int32_t* labels, int64_t layer_count, int64_t count, int32_t* groups);

}  // namespace shoal
