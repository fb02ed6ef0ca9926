// Order-independent sums of rows: each coordinate is rounded to a multiple of a quantum so coarse that all sums are
// exact in float64.
#pragma once

#include <cstdint>

#include "parallel.hpp"

namespace shoal {

// Adds the rows of `to` to sums (centers, dimensions) and subtracts those of `from`, -1 for none: `rows`, `from` and
// `to` are (count), `quantum` is a power of two.
void move_rows(const float* values, int64_t dimensions, const int64_t* rows, const int32_t* from, const int32_t* to,
               int64_t count, int64_t centers, double quantum, const Control& control, double* sums);

}  // namespace shoal
