// A hash of each row from its coordinates alone: an order of rows that does not depend on the input order.
#pragma once

#include <cstdint>

#include "parallel.hpp"

namespace shoal {

// One key per row of `values` (count, dimensions): the sum over the dimensions of a seeded odd constant times the bits
// of the coordinate, well mixed. -0 counts as 0. Different rows collide about once in 2^64 pairs.
void row_keys(const float* values, int64_t count, int64_t dimensions, const Control& control, uint64_t* keys);

}  // namespace shoal
