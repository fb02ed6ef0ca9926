#include "reachability_graph.hpp"

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

namespace shoal {
namespace {

struct Neighbor {
    int32_t row;
    double weight;
};

// The neighbours of each row, from either end of each edge.
struct Adjacency {
    std::vector<int64_t> first;
    std::vector<Neighbor> neighbors;

    Adjacency(const EdgeList& edges, size_t rows) : first(rows + 1, 0), neighbors(2 * edges.left.size()) {
        for (size_t edge = 0; edge < edges.left.size(); ++edge) {
            ++first[edges.left[edge] + 1];
            ++first[edges.right[edge] + 1];
        }
        for (size_t row = 0; row < rows; ++row) first[row + 1] += first[row];
        std::vector<int64_t> next(first.begin(), first.end() - 1);
        for (size_t edge = 0; edge < edges.left.size(); ++edge) {
            neighbors[next[edges.left[edge]]++] = {edges.right[edge], edges.weight[edge]};
            neighbors[next[edges.right[edge]]++] = {edges.left[edge], edges.weight[edge]};
        }
    }
};

constexpr double kInfinite = std::numeric_limits<double>::infinity();

double radius_of(std::span<Neighbor> neighbors, std::span<const int64_t> copies, int64_t missing) {
    if (missing <= 0) return 0.0;
    const auto nearer = [](const Neighbor& one, const Neighbor& two) { return one.weight < two.weight; };
    // Every neighbour stands for one row at least, so the first `missing` suffice.
    const size_t most = std::min<size_t>(size_t(missing), neighbors.size());
    std::partial_sort(neighbors.begin(), neighbors.begin() + ptrdiff_t(most), neighbors.end(), nearer);
    for (size_t at = 0; at < most; ++at) {
        missing -= copies[neighbors[at].row];
        if (missing <= 0) return neighbors[at].weight;
    }
    return kInfinite;
}

}  // namespace

std::vector<double> core_distances(const EdgeList& edges, std::span<const int64_t> copies, int64_t wanted) {
    Adjacency adjacency(edges, copies.size());
    std::vector<double> core(copies.size());
    for (size_t row = 0; row < copies.size(); ++row) {
        const std::span<Neighbor> own(
            adjacency.neighbors.data() + adjacency.first[row], size_t(adjacency.first[row + 1] - adjacency.first[row]));
        core[row] = radius_of(own, copies, wanted - copies[row]);
    }
    return core;
}

Walk walk(const EdgeList& edges, std::span<const double> core, std::span<const int64_t> where) {
    const size_t distinct = core.size();
    const Adjacency adjacency(edges, distinct);
    // The equal rows of each distinct one, ascending.
    std::vector<int64_t> first(distinct + 1, 0), copies(where.size());
    for (const int64_t own : where) ++first[own + 1];
    for (size_t row = 0; row < distinct; ++row) first[row + 1] += first[row];
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (size_t row = 0; row < where.size(); ++row) copies[next[where[row]]++] = int64_t(row);
    std::copy(first.begin(), first.end() - 1, next.begin());

    Walk taken;
    taken.order.reserve(where.size());
    taken.steps.reserve(where.size());
    std::vector<double> key(distinct, kInfinite);
    std::vector<char> seen(distinct, 0);
    using Entry = std::tuple<double, int64_t, int32_t>;  // step, row, distinct row
    std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> heap;
    if (!where.empty()) heap.emplace(0.0, 0, int32_t(where[0]));
    while (!heap.empty()) {
        const auto [step, row, here] = heap.top();
        heap.pop();
        const bool left = next[here] < first[here + 1];
        if (!left || row != copies[next[here]] || step > key[here]) continue;
        taken.order.push_back(row);
        if (taken.order.size() > 1) taken.steps.push_back(step);
        ++next[here];
        key[here] = core[here];
        if (next[here] < first[here + 1]) heap.emplace(key[here], copies[next[here]], here);
        if (seen[here]) continue;  // equal rows have the same neighbours
        seen[here] = 1;
        for (int64_t at = adjacency.first[here]; at < adjacency.first[here + 1]; ++at) {
            const auto& [there, weight] = adjacency.neighbors[at];
            if (weight < key[there] && next[there] < first[there + 1]) {
                key[there] = weight;
                heap.emplace(weight, copies[next[there]], there);
            }
        }
    }
    return taken;
}

}  // namespace shoal
