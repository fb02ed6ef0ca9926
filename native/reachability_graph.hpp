// Core distances and the walk order, from the relevant pairs of rows.
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

// The radius around each row that contains `wanted` rows, including itself; row i represents copies[i] equal ones. The
// edges must contain all pairs within that radius; infinite if they contain too few.
std::vector<double> core_distances(const EdgeList& edges, std::span<const int64_t> copies, int64_t wanted);

struct Walk {
    std::vector<int64_t> order;  // rows in the order they are reached
    std::vector<double> steps;   // the weight of the step to each but the first
};

// Prim's algorithm from row 0 over edges of mutual reachability between `rows` rows, the lowest row first among equals:
// the order in which scikit-learn's HDBSCAN walks the complete graph. Stops early if the edges do not connect all rows.
Walk walk(const EdgeList& edges, size_t rows);

}  // namespace shoal
