// What is asked of a neighbour graph besides its communities: how it is made, walked and counted.
#pragma once

#include <cstdint>
#include <vector>

#include "communities.hpp"

namespace shoal {

// The union a + b - ab of what vertices are to each other: `weight` (count, near) is what vertex v is to its neighbours
// `to` (count, near), distinct ones. Ascending; no loops, nothing of weight 0.
OwnedGraph joined_both_ways(const int32_t* to, const float* weight, int64_t count, int64_t near, const Control& control);

// Where walks of two steps from each vertex mostly end: the label of 0..label_count-1, the lowest where equal, and the
// share of the walks, in float32. Vertices without an edge stay where they are. `strength` holds the sums of weights.
void walk_home(const GraphView& graph, const double* strength, const int32_t* labels, int32_t label_count,
               const Control& control, int32_t* home, float* share);

// Of each of the labellings (layer_count, count): for each vertex the weight of its edges within its label is added
// up in float64, and then these sums, one after the other; `edges` counts those edges.
void weights_within(const GraphView& graph, const int32_t* labels, int64_t layer_count, const Control& control,
                    double* weight, int64_t* edges);

// The graph whose edges count as often as the labellings (layer_count, count) put their ends together, those never
// together left out. `together` counts how often that is, over all edges; `pairs` counts, over all edges, the ordered
// pairs of different labellings that both do.
OwnedGraph agreed_graph(const GraphView& graph, const int32_t* labels, int64_t layer_count, const Control& control,
                        int64_t* together, int64_t* pairs);

}  // namespace shoal
