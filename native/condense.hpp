// From single linkage to clusters (Campello, Moulavi and Sander 2013; McInnes and Healy 2017). A density is 1 / height.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "linkage.hpp"

namespace shoal {

// Clusters and when rows leave them. Cluster 0 is the root; a child has a larger number than its parent.
struct CondensedTree {
    std::vector<int64_t> parent;  // -1 for the root
    std::vector<double> birth;    // density at which the cluster splits from its parent
    std::vector<int64_t> size;
    std::vector<double> stability;  // excess of mass
    std::vector<int64_t> cluster;   // for each row the cluster it leaves
    std::vector<double> leaving;    // and the density at which it does
};

struct Clusters {
    Ints parent;
    Doubles birth;
    Ints size;
    Doubles stability;

    int64_t count() const { return int64_t(parent.size()); }
};

struct Selection {
    bool leaf = false;
    double epsilon = 0.0;
    int64_t max_size = std::numeric_limits<int64_t>::max();
    bool allow_single = false;
};

// Row i of the linkage represents `weight[i]` equal rows at distance `core[i]` of each other, which leave together.
CondensedTree condense(const Linkage& tree, int64_t min_cluster_size, Ints weight, Doubles core);

// The numbers of the selected clusters, ascending.
std::vector<int64_t> select_clusters(const Clusters& clusters, const Selection& how);

// For each cluster the position in `chosen` of itself or its nearest selected ancestor, -1 for none.
std::vector<int64_t> chosen_above(Ints parent, Ints chosen);

// GLOSH (Campello et al. 2015) of each row: 1 - leaving / the largest finite density in its cluster or below it.
std::vector<float> outlier_scores(Ints parent, Ints cluster, Doubles leaving);

}  // namespace shoal
