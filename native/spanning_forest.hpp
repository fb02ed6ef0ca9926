// The minimum spanning forest of a list of edges: in each of Boruvka's rounds every component takes its least edge, so
// that only the edges chosen are ever sorted. Under a total order it is the forest that Kruskal's algorithm finds.
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

// The edges chosen, in order: by weight, then length, then the lower rank of their ends, then the higher, then their
// place in the list. No weight or length is NaN; `rank` has one entry for each row.
template <class Row>
std::vector<int64_t> spanning_forest(const WeightedEdges<Row>& edges, std::span<const uint32_t> rank,
                                     const Control& control);

}  // namespace shoal
