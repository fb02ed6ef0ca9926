// The one pass over all pairs that makes a spanning tree exact.
#pragma once

#include <cstdint>
#include <vector>

#include "neighbors.hpp"

namespace shoal {

struct Pair {
    int32_t left, right;  // places, left < right
    double square;        // squared distance
};

struct ClosePairs {
    std::vector<Pair> pairs;
    int64_t done = 0;      // pairs of blocks that were looked at, from the front of the list
    int64_t hits = 0;      // pairs that the scan let through
};

// Every pair of rows, among the pairs of blocks given, that is at most as far apart as the tree's way between them is
// wide: the largest of gaps[left..right-1]. `gaps` (count - 1) are the heights at which neighbours in the leaf order of
// the tree meet, and the codes are in that order. By the cycle property no other pair can be an edge of the minimum
// spanning tree; and as the way from a row is at least as wide as its core distance, all rows within its core distance
// are among its pairs. Stops early, after whole pairs of blocks, once more than `capacity` pairs are found: the tree is
// poor then, and better heights save more than the rest of the pass costs. Pairs are sorted by (left, right).
// With true `core` distances (count) in the same order, pairs of which one has at least the width of the way for its core
// distance are left out: they cannot make the way narrower.
ClosePairs close_pairs(
    const Codes& codes, const Rows& rows, const double* gaps, const double* core, const int32_t* blocks,
    int64_t block_count, int64_t capacity, const Control& control);

}  // namespace shoal
