// The pass over all pairs that makes a spanning tree exact.
#pragma once

#include <cstdint>
#include <vector>

#include "neighbors.hpp"

namespace shoal {

struct Pair {
    int32_t left, right;  // positions, left < right
    double square;        // squared distance
};

struct ClosePairs {
    std::vector<Pair> pairs;
    int64_t done = 0;      // pairs of blocks processed, from the front of the list
    int64_t hits = 0;      // pairs that passed the scan
};

// Every pair of rows, among the given pairs of blocks, whose distance is at most the largest edge on their path in the
// tree: the largest of gaps[left..right-1]. `gaps` (count - 1) are the merge heights between consecutive leaves, and
// the codes are in leaf order. By the cycle property no other pair can be an edge of the minimum spanning tree; and as
// the edges at a row are at least as long as its core distance, all rows within its core distance are included. Stops
// early, after whole pairs of blocks, once more than `capacity` pairs are found: the tree is poor then, and better
// heights save more than the rest of the pass costs. Pairs are sorted by (left, right). With exact `core` distances
// (count) in the same order, pairs whose core distance reaches the largest edge on their path are skipped: they cannot
// improve it.
ClosePairs close_pairs(
    const Codes& codes, const Rows& rows, const double* gaps, const double* core, const int32_t* blocks,
    int64_t block_count, int64_t capacity, const Control& control);

}  // namespace shoal
