// Exact nearest neighbours: codes find candidates, float64 distances select among them.
#pragma once

#include <cstdint>

#include "codes.hpp"

namespace shoal {

// Rows in their original order, float32 (n, dimensions), maybe a map larger than memory; position p is row order[p].
struct Rows {
    const float* values;
    int64_t dimensions;
    const int32_t* order;
    const float* at(int64_t place) const { return values + int64_t(order[place]) * dimensions; }
};

struct NeighborCounts {
    int64_t hits = 0;        // pairs that passed the scan
    int64_t candidates = 0;  // distances computed in float64
};

// The `wanted` nearest other rows of each row among those that share a pair of blocks with it, nearest first, ties by
// `rank`. `pairs` (pair_count, 2) are blocks of kBlock positions, the first not after the second; likely near pairs
// should come first. `certainty` is the fraction of the codes' error bound that is allowed for: with 1 no neighbour can
// be missed. Writes positions (count, wanted), -1 if there are fewer, and squared distances, infinite there.
NeighborCounts nearest_rows(
    const Codes& codes, const Rows& rows, const int32_t* rank, int wanted, float certainty, const int32_t* pairs, int64_t pair_count,
    const Control& control, int32_t* places, double* squares);

}  // namespace shoal
