#include "linkage.hpp"

#include <algorithm>
#include <utility>

namespace shoal {
namespace {

// Trees of rows linked large over small, so that no path to the root is longer than log2 n. Later links are above
// earlier ones: `merge` increases towards the root.
struct Link {
    int64_t above;
    int64_t merge;
};

std::vector<Link> links_by_size(const Linkage& tree) {
    const int64_t rows = tree.rows(), merges = tree.merges();
    std::vector<Link> links(size_t(rows), Link{-1, merges});
    std::vector<int64_t> root(static_cast<size_t>(merges));  // the row on top of each node of the linkage
    for (int64_t merge = 0; merge < merges; ++merge) {
        const int64_t left = tree.left[merge], right = tree.right[merge];
        int64_t upper = left < rows ? left : root[left - rows], lower = right < rows ? right : root[right - rows];
        const int64_t left_size = left < rows ? 1 : tree.size[left - rows];
        if (2 * left_size < tree.size[merge]) std::swap(upper, lower);
        links[lower] = {upper, merge};
        root[merge] = upper;
    }
    return links;
}

}  // namespace

Merges single_linkage(Ints left, Ints right) {
    const int64_t merges = int64_t(left.size()), rows = merges + 1;
    Merges made;
    for (auto* part : {&made.left, &made.right, &made.size}) part->resize(left.size());
    std::vector<int64_t> link(size_t(rows), -1);  // the row above, or minus the size of a root's tree
    std::vector<int64_t> node(static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) node[row] = row;
    const auto find = [&](int64_t row) {
        while (link[row] >= 0) {
            const int64_t above = link[row];
            if (link[above] >= 0) link[row] = link[above];
            row = above;
        }
        return row;
    };
    for (int64_t merge = 0; merge < merges; ++merge) {
        int64_t upper = find(left[merge]), lower = find(right[merge]);
        made.left[merge] = node[upper];
        made.right[merge] = node[lower];
        if (link[upper] > link[lower]) std::swap(upper, lower);
        link[upper] += link[lower];
        link[lower] = upper;
        node[upper] = rows + merge;
        made.size[merge] = -link[upper];
    }
    return made;
}

LeafOrder leaf_order(const Linkage& tree) {
    const int64_t rows = tree.rows(), merges = tree.merges();
    LeafOrder leaves{std::vector<int64_t>(static_cast<size_t>(rows)), std::vector<double>(static_cast<size_t>(merges))};
    std::vector<int64_t> start(static_cast<size_t>(merges));
    const auto put = [&](int64_t node, int64_t place) {
        if (node < rows)
            leaves.order[place] = node;
        else
            start[node - rows] = place;
    };
    for (int64_t merge = merges - 1; merge >= 0; --merge) {
        const int64_t left = tree.left[merge], place = start[merge];
        const int64_t middle = place + (left < rows ? 1 : tree.size[left - rows]);
        put(left, place);
        put(tree.right[merge], middle);
        leaves.gaps[middle - 1] = tree.height[merge];
    }
    return leaves;
}

std::vector<double> meeting_heights(const Linkage& tree, Ints first, Ints second) {
    const std::vector<Link> links = links_by_size(tree);
    std::vector<double> heights(first.size());
    for (size_t pair = 0; pair < first.size(); ++pair) {
        int64_t one = first[pair], two = second[pair], last = -1;
        while (one != two) {
            int64_t& lower = links[one].merge < links[two].merge ? one : two;
            last = links[lower].merge;
            lower = links[lower].above;
        }
        heights[pair] = last < 0 ? 0.0 : tree.height[last];
    }
    return heights;
}

}  // namespace shoal
