#include "reachability_graph.hpp"

#include <algorithm>
#include <limits>
#include <queue>
#include <utility>

namespace shoal {
namespace {

struct Neighbor {
    int32_t row;
    double weight;
};

// The neighbours of each row, from both ends of each edge.
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
    // Every neighbour represents at least one row, so the first `missing` suffice.
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

Walk walk(const EdgeList& edges, size_t rows) {
    const Adjacency adjacency(edges, rows);
    Walk taken;
    taken.order.reserve(rows);
    taken.steps.reserve(rows);
    std::vector<double> key(rows, kInfinite);
    std::vector<char> reached(rows, 0);
    using Entry = std::pair<double, int32_t>;  // step, row
    std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> heap;
    if (rows > 0) heap.emplace(0.0, 0);
    while (!heap.empty()) {
        const auto [step, here] = heap.top();
        heap.pop();
        if (reached[here]) continue;
        reached[here] = 1;
        if (!taken.order.empty()) taken.steps.push_back(step);
        taken.order.push_back(here);
        for (int64_t at = adjacency.first[here]; at < adjacency.first[here + 1]; ++at) {
            const auto& [there, weight] = adjacency.neighbors[at];
            if (reached[there] || weight >= key[there]) continue;
            key[there] = weight;
            heap.emplace(weight, there);
        }
    }
    return taken;
}

}  // namespace shoal
