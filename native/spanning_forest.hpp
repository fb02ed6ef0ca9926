// Minimum spanning forest of a list of edges: in each of Boruvka's rounds every component selects its least edge, so
// that only selected edges are ever sorted. Under a total order this is the forest of Kruskal's algorithm.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel.hpp"

namespace shoal {

// Undirected edges; all spans have the same length. Loops and repeated edges are allowed.
template <class Row>
struct WeightedEdges {
    std::span<const Row> left, right;
    std::span<const double> weight, length;
};

// The selected edges, in order: by weight, then length, then the lower rank of their ends, then the higher, then their
// position in the list. No weight or length is NaN; `rank` has one entry per row.
template <class Row>
std::vector<int64_t> spanning_forest(const WeightedEdges<Row>& edges, std::span<const uint32_t> rank,
                                     const Control& control);

}  // namespace shoal
