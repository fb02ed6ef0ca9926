#include "condense.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kInside = -1.0;

// State of a node of the linkage: its cluster and, once it has left it, at which density.
struct Place {
    int64_t cluster = 0;
    double fallen = kInside;
};

class Condensing {
public:
    Condensing(const Linkage& tree, int64_t min_cluster_size, Ints weight, Doubles core)
        : tree_(tree), rows_(tree.rows()), smallest_(min_cluster_size), weight_(weight), core_(core),
          sizes_(static_cast<size_t>(tree.merges())), inner_(static_cast<size_t>(tree.merges())) {
        made_.cluster.resize(size_t(rows_));
        made_.leaving.resize(size_t(rows_));
        for (int64_t merge = 0; merge < tree_.merges(); ++merge)
            sizes_[merge] = size(tree_.left[merge]) + size(tree_.right[merge]);
        add(-1, 0.0, size(rows_ + tree_.merges() - 1));
    }

    CondensedTree run() {
        if (rows_ == 1) end(0, 0);
        for (int64_t merge = tree_.merges() - 1; merge >= 0; --merge) {
            const Place here = inner_[merge];
            if (here.fallen == kInside) {
                part(merge, here.cluster);
                continue;
            }
            put(tree_.left[merge], here);
            put(tree_.right[merge], here);
        }
        return std::move(made_);
    }

private:
    // Processes a merge within a cluster.
    void part(int64_t merge, int64_t cluster) {
        const int64_t sides[] = {tree_.left[merge], tree_.right[merge]};
        const double density = 1.0 / tree_.height[merge];
        const bool together = density == kNever;
        int64_t homes[] = {cluster, cluster}, out = 0;
        const bool splits = !together && size(sides[0]) >= smallest_ && size(sides[1]) >= smallest_;
        for (int side = 0; side < 2; ++side) {
            if (splits) homes[side] = add(cluster, density, size(sides[side]));
            const bool falls = together || size(sides[side]) < smallest_;
            put(sides[side], {homes[side], falls ? density : kInside});
            if (falls || splits) out += size(sides[side]);
        }
        leave(cluster, density, out);
        for (int side = 0; side < 2; ++side)
            if (sides[side] < rows_ && made_.leaving[sides[side]] == kInside) end(sides[side], homes[side]);
    }

    // The rest of a cluster is equal rows: they leave at their core distance.
    void end(int64_t row, int64_t cluster) {
        made_.cluster[row] = cluster;
        made_.leaving[row] = 1.0 / core_[row];
        leave(cluster, made_.leaving[row], weight_[row]);
    }

    void leave(int64_t cluster, double density, int64_t rows) {
        if (rows > 0) made_.stability[cluster] += (density - made_.birth[cluster]) * double(rows);
    }

    int64_t add(int64_t parent, double birth, int64_t size) {
        made_.parent.push_back(parent);
        made_.birth.push_back(birth);
        made_.size.push_back(size);
        made_.stability.push_back(0.0);
        return int64_t(made_.parent.size()) - 1;
    }

    int64_t size(int64_t node) const { return node < rows_ ? weight_[node] : sizes_[node - rows_]; }

    void put(int64_t node, Place place) {
        if (node >= rows_) {
            inner_[node - rows_] = place;
            return;
        }
        made_.cluster[node] = place.cluster;
        made_.leaving[node] = place.fallen;
    }

    const Linkage& tree_;
    int64_t rows_, smallest_;
    Ints weight_;
    Doubles core_;
    std::vector<int64_t> sizes_;
    std::vector<Place> inner_;
    CondensedTree made_;
};

using Marks = std::vector<char>;

// Clusters without children; the root only if it may be the single cluster.
Marks leaves(const Clusters& clusters, const Selection& how) {
    Marks chosen(clusters.parent.size(), 1);
    chosen[0] = how.allow_single;
    for (const int64_t parent : clusters.parent)
        if (parent >= 0) chosen[parent] = 0;
    return chosen;
}

void keep_topmost(Ints parent, Marks& chosen) {
    Marks covered = chosen;
    for (size_t cluster = 1; cluster < parent.size(); ++cluster) {
        if (!covered[parent[cluster]]) continue;
        covered[cluster] = 1;
        chosen[cluster] = 0;
    }
}

// The clusters with the largest total stability: each, or those below it.
Marks most_stable(const Clusters& clusters, const Selection& how) {
    const int64_t count = clusters.count();
    std::vector<double> below(size_t(count), 0.0);
    std::vector<int64_t> size(clusters.size.begin(), clusters.size.end());
    size[0] = 0;  // scikit-learn counts the root by its children
    for (int64_t cluster = 1; cluster < count; ++cluster)
        if (clusters.parent[cluster] == 0) size[0] += size[cluster];
    Marks chosen(size_t(count), 0);
    for (int64_t cluster = count - 1; cluster >= (how.allow_single ? 0 : 1); --cluster) {
        const bool split = below[cluster] > clusters.stability[cluster] || size[cluster] > how.max_size;
        chosen[cluster] = !split;
        if (cluster > 0) below[clusters.parent[cluster]] += split ? below[cluster] : clusters.stability[cluster];
    }
    keep_topmost(clusters.parent, chosen);
    return chosen;
}

// Replaces each selected cluster born below `epsilon` by its lowest ancestor born at more (Malzer and Baum 2020),
// climbing as scikit-learn does. The root beside other clusters is dropped.
Marks grown(const Clusters& clusters, const Marks& chosen, const Selection& how) {
    std::vector<int64_t> above(clusters.parent.size(), 0);
    Marks kept(clusters.parent.size(), 0);
    int64_t others = 0;
    for (int64_t cluster = 1; cluster < clusters.count(); ++cluster) {
        const int64_t parent = clusters.parent[cluster];
        if (parent == 0) above[cluster] = how.allow_single ? 0 : cluster;
        else above[cluster] = 1.0 / clusters.birth[parent] > how.epsilon ? parent : above[parent];
        if (!chosen[cluster]) continue;
        const int64_t becomes = 1.0 / clusters.birth[cluster] < how.epsilon ? above[cluster] : cluster;
        kept[becomes] = 1;
        others += becomes != 0;
    }
    if (others > 0) kept[0] = 0;
    return kept;
}

}  // namespace

CondensedTree condense(const Linkage& tree, int64_t min_cluster_size, Ints weight, Doubles core) {
    return Condensing(tree, min_cluster_size, weight, core).run();
}

std::vector<int64_t> select_clusters(const Clusters& clusters, const Selection& how) {
    Marks chosen = how.leaf ? leaves(clusters, how) : most_stable(clusters, how);
    if (how.epsilon > 0 && clusters.count() > 1 && !chosen[0]) chosen = grown(clusters, chosen, how);
    std::vector<int64_t> numbers;
    for (int64_t cluster = 0; cluster < clusters.count(); ++cluster)
        if (chosen[cluster]) numbers.push_back(cluster);
    return numbers;
}

std::vector<int64_t> chosen_above(Ints parent, Ints chosen) {
    std::vector<int64_t> place(parent.size(), -1);
    for (size_t position = 0; position < chosen.size(); ++position) place[chosen[position]] = int64_t(position);
    for (size_t cluster = 1; cluster < parent.size(); ++cluster)
        if (place[cluster] < 0) place[cluster] = place[parent[cluster]];
    return place;
}

std::vector<float> outlier_scores(Ints parent, Ints cluster, Doubles leaving) {
    std::vector<double> densest(parent.size(), 0.0);
    for (size_t row = 0; row < cluster.size(); ++row)
        if (std::isfinite(leaving[row])) densest[cluster[row]] = std::max(densest[cluster[row]], leaving[row]);
    for (size_t number = parent.size() - 1; number > 0; --number)
        densest[parent[number]] = std::max(densest[parent[number]], densest[number]);
    std::vector<float> scores(cluster.size(), 0.0f);
    for (size_t row = 0; row < cluster.size(); ++row) {
        const double top = densest[cluster[row]];
        if (top > 0 && std::isfinite(leaving[row])) scores[row] = float((top - leaving[row]) / top);
    }
    return scores;
}

}  // namespace shoal
