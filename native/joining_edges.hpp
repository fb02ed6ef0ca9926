// Boruvka's step over codes: the lightest edge that leads out of each component of a forest.
#pragma once

#include <cstdint>
#include <vector>

#include "neighbors.hpp"

namespace shoal {

struct JoiningEdge {
    int32_t left = -1, right = -1;  // positions; -1 if nothing was found
    double weight;                  // mutual reachability
    double length;                  // distance
};

// For each component the lightest edge to another one by mutual reachability, max(distance, core[left], core[right]);
// ties by distance, then by the lower, then the higher `rank` of the ends. `component` (count) numbers 0..components-1
// by size, the largest last, and rows are in that order: pairs within a component are skipped. The largest component
// does not search: the others find their edges to it.
std::vector<JoiningEdge> joining_edges(
    const Codes& codes, const Rows& rows, const int32_t* rank, const double* core, const int32_t* component,
    int32_t components, const Control& control);

}  // namespace shoal
