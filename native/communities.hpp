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

struct OwnedGraph {
    std::vector<int64_t> start;
    std::vector<int32_t> to;
    std::vector<float> weight;
};

// What communities are told by. `strength` (count) is what a vertex counts in the expectation and `total` what the
// strengths are divided by: the sums of weights and their total for modularity, ones and 1 for the constant Potts model.
struct Expectation {
    const double* strength;
    double total;
};

// What vertices are taken as they are: those of one of the `groups` stay together, and edges between different ones of
// `within` do not count. Both have an entry a vertex, or are null.
struct Given {
    const int32_t* groups = nullptr;
    const int32_t* within = nullptr;
};

// Small groups that hold together at a resolution, 0..k-1 in the order of their first vertices: what two sweeps of moves
// make, refined; and those groups joined again until there are at most `most` or hardly fewer than before. Vertices
// are looked at in stretches of 16384, which costs little where near vertices have near numbers; whoever has less than
// half its weight within its own stretch stays single at first. Answers how many there are.
int32_t groups_of_vertices(const GraphView& graph, const Expectation& expected, double resolution, int64_t most,
                           const Control& control, int32_t* labels);

// For each of the `resolutions` a community of each vertex, 0..k-1 in the order of their first vertices, written to
// labels (resolutions, count). The groups are first joined further, to at most a few thousand that hold together at the
// largest resolution. `seed` orders the visits. Resolutions are shared out between threads; the answer does not depend
// on how many there are.
void layers_of_communities(const GraphView& graph, const Expectation& expected, const Given& given,
                           const double* resolutions, int64_t resolution_count, uint64_t seed, const Control& control,
                           int32_t* labels);

// The same at one resolution for each of the `seeds`: `rounds` rounds of Leiden, at least one, from what is given.
void runs_of_communities(const GraphView& graph, const Expectation& expected, const Given& given, double resolution,
                         const uint64_t* seeds, int64_t seed_count, int rounds, const Control& control,
                         int32_t* labels);

// The graph between groups 0..group_count-1: the weights between two, summed, ascending.
OwnedGraph joined_groups(const GraphView& graph, const int32_t* groups, int32_t group_count, const Control& control);

// The groups of vertices that no labelling of `labels` (layer_count, count) tells apart, 0..k-1 in the order of their
// first vertices.
void common_groups(const int32_t* labels, int64_t layer_count, int64_t count, int32_t* groups);

}  // namespace shoal
