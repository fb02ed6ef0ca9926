// Operations on a neighbour graph other than communities: construction, random walks, counting.
#pragma once

#include <cstdint>
#include <vector>

#include "communities.hpp"

namespace shoal {

// The fuzzy union a + b - ab of directed weights: `weight` (count, near) are the weights from vertex v to its distinct
// neighbours `to` (count, near). Ascending; no loops, no zero weights.
OwnedGraph joined_both_ways(const int32_t* to, const float* weight, int64_t count, int64_t near, const Control& control);

// Where two-step walks from each vertex most often end: the label of 0..label_count-1, ties to the lowest, and the
// share of the walks, in float32. Vertices without edges stay where they are. `strength` holds the sums of weights.
void walk_home(const GraphView& graph, const double* strength, const int32_t* labels, int32_t label_count,
               const Control& control, int32_t* home, float* share);

// For each of the labellings (layer_count, count): the weight of the edges inside labels, summed per vertex in float64
// and then over vertices in order; `edges` counts these edges.
void weights_within(const GraphView& graph, const int32_t* labels, int64_t layer_count, const Control& control,
                    double* weight, int64_t* edges);

// The graph with edges weighted by how often the labellings (layer_count, count) put both ends together, without edges
// that they never do. `together` counts these cases over all edges; `pairs` counts, over all edges, the ordered pairs
// of different labellings that both do.
OwnedGraph agreed_graph(const GraphView& graph, const int32_t* labels, int64_t layer_count, const Control& control,
                        int64_t* together, int64_t* pairs);

}  // namespace shoal
