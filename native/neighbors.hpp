// Exact nearest neighbours: codes find the candidates, float64 distances choose among them.
#pragma once

#include <cstdint>

#include "codes.hpp"

namespace shoal {

// Rows in their given order, float32 (n, dimensions), maybe a map larger than memory; place p is row order[p].
struct Rows {
    const float* values;
    int64_t dimensions;
    const int32_t* order;
    const float* at(int64_t place) const { return values + int64_t(order[place]) * dimensions; }
};

struct NeighborCounts {
    int64_t hits = 0;        // pairs that the scan let through
    int64_t candidates = 0;  // distances taken in float64
};

// The `wanted` nearest other rows of each row among those that share a pair of blocks with it, nearest first, equal
// distances by `rank`. `pairs` (pair_count, 2) names blocks of kBlock places, the first not after the second; pairs that
// are likely near should come first. `certainty` is the share of the codes' errors that is allowed for: with 1 no
// neighbour can be missed. Writes places (count, wanted), -1 where there are not so many, and squared
// distances, infinite there.
NeighborCounts nearest_rows(
    const Codes& codes, const Rows& rows, const int32_t* rank, int wanted, float certainty, const int32_t* pairs, int64_t pair_count,
    const Control& control, int32_t* places, double* squares);

}  // namespace shoal
