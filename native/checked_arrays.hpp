// Validates arrays of row or vertex numbers before they are used as indices.
#pragma once

#include <stdexcept>
#include <vector>

#include "binding.hpp"
#include "neighbors.hpp"

namespace shoal {

// Rows by position: row p of the codes is values[order[p]].
inline Rows rows_of(const Codes& codes, const Array<float, 2>& values, const Array<int32_t, 1>& order) {
    if (int64_t(order.shape(0)) != codes.count())
        throw std::invalid_argument("order must have one entry for each code");
    for (int64_t place = 0; place < codes.count(); ++place)
        if (order.data()[place] < 0 || size_t(order.data()[place]) >= values.shape(0))
            throw std::invalid_argument("order must hold rows of values");
    return {values.data(), int64_t(values.shape(1)), order.data()};
}

inline void check_permutation(const Codes& codes, const Array<int32_t, 1>& order) {
    std::vector<bool> seen(size_t(codes.count()), false);
    bool once = int64_t(order.shape(0)) == codes.count();
    for (int64_t place = 0; once && place < codes.count(); ++place) {
        const int32_t own = order.data()[place];
        once = own >= 0 && own < codes.count() && !seen[size_t(own)];
        if (once) seen[size_t(own)] = true;
    }
    if (!once) throw std::invalid_argument("order must hold every place once");
}

// Neighbours of vertex v are to[start[v]..start[v + 1]); `weights` is the number of weights.
inline void check_graph(const Array<int64_t, 1>& start, const Array<int32_t, 1>& to, size_t weights) {
    const int64_t count = int64_t(start.shape(0)) - 1, edges = int64_t(to.shape(0));
    if (count < 0 || start.data()[0] != 0 || start.data()[count] != edges || int64_t(weights) != edges)
        throw std::invalid_argument("start, to and the weights are no graph");
    for (int64_t v = 0; v < count; ++v)
        if (start.data()[v] > start.data()[v + 1]) throw std::invalid_argument("start must ascend");
    for (int64_t at = 0; at < edges; ++at)
        if (to.data()[at] < 0 || to.data()[at] >= count) throw std::invalid_argument("to must name vertices");
}

}  // namespace shoal
