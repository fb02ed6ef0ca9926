// Greedy k-means++ over rows whose codes leave out the distances that cannot matter.
#pragma once

#include <cstdint>

#include "codes.hpp"
#include "neighbors.hpp"

namespace shoal {

// Rows lie in the order of their codes, and place p is row number order[p]. `wanted` rows, the first of which is
// `first`: each next one is the best of `trials` that are drawn in proportion to the squared distance to those already
// chosen (Arthur and Vassilvitskii 2007), the first of equals. `draws` (wanted - 1, trials) lie in [0, 1). The running
// sum that a draw is looked up in goes by the number of the row; what a trial would take off the sum of squares is
// added up in multiples of a quantum, exactly. Writes (wanted) row numbers.
void spread_starts(const Codes& codes, Rows rows, int64_t wanted, int64_t first, const double* draws, int trials,
                   const Control& control, int64_t* chosen);

}  // namespace shoal
