// Single linkage as a binary tree over rows: nodes below n are rows, merge m makes node n + m.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shoal {

using Ints = std::span<const int64_t>;
using Doubles = std::span<const double>;

// n - 1 merges, in order: the two nodes, the height, the number of rows.
struct Linkage {
    Ints left, right;
    Doubles height;
    Ints size;

    int64_t merges() const { return int64_t(left.size()); }
    int64_t rows() const { return merges() + 1; }
};

struct Merges {
    std::vector<int64_t> left, right, size;
};

struct LeafOrder {
    std::vector<int64_t> order;
    std::vector<double> gaps;
};

// Merges along the edges of a spanning tree, in the given order.
Merges single_linkage(Ints left, Ints right);

// The rows in leaf order, and the merge heights between consecutive leaves.
LeafOrder leaf_order(const Linkage& tree);

// Merge heights of the pairs (first[p], second[p]) of rows; 0 for a row and itself.
std::vector<double> meeting_heights(const Linkage& tree, Ints first, Ints second);

}  // namespace shoal
