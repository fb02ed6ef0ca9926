// Greedy k-means++ over rows whose codes rule out irrelevant distances.
#pragma once

#include <cstdint>

#include "codes.hpp"
#include "neighbors.hpp"

namespace shoal {

// Rows are in the order of their codes, and position p is row order[p]. Selects `wanted` rows, the first of which is
// `first`: each next one is the best of `trials` candidates drawn in proportion to the squared distance to those
// already chosen (Arthur and Vassilvitskii 2007), the first of equals. `draws` (wanted - 1, trials) are in [0, 1). The
// cumulative sum that a draw is looked up in is by row number; the decrease of the sum of squares by a candidate is
// summed exactly, in multiples of a quantum. Writes (wanted) row numbers.
void spread_starts(const Codes& codes, Rows rows, int64_t wanted, int64_t first, const double* draws, int trials,
                   const Control& control, int64_t* chosen);

}  // namespace shoal
