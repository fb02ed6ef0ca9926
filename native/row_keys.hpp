// A number for each row that its coordinates alone decide: an order of rows that does not depend on how they came in.
#pragma once

#include <cstdint>

#include "parallel.hpp"

namespace shoal {

// One key for each row of `values` (count, dimensions): the sum over the dimensions of a seeded odd constant times the
// bits of the coordinate, well mixed. -0 counts as 0. Different rows share a key about once in 2^64 pairs.
void row_keys(const float* values, int64_t count, int64_t dimensions, const Control& control, uint64_t* keys);

}  // namespace shoal
