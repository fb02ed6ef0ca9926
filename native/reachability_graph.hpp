// What the pairs of rows that matter tell: core distances, and the order in which rows are reached.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shoal {

// Undirected edges between distinct rows. `weight` is a distance or a mutual reachability.
struct EdgeList {
    std::span<const int32_t> left, right;
    std::span<const double> weight;
};

// The radius around each row that holds `wanted` rows, itself counted; row i stands for copies[i] equal ones. The edges
// must hold all pairs within that radius; where they do not hold enough it is infinite.
std::vector<double> core_distances(const EdgeList& edges, std::span<const int64_t> copies, int64_t wanted);

struct Walk {
    std::vector<int64_t> order;  // rows as they are reached
    std::vector<double> steps;   // the weight of the step to each but the first
};

// Prim's algorithm from row 0 over edges of mutual reachability between `rows` rows, the lowest row first among equals:
// the order in which scikit-learn's HDBSCAN walks the complete graph. Stops early if the edges do not connect all rows.
Walk walk(const EdgeList& edges, size_t rows);

}  // namespace shoal
