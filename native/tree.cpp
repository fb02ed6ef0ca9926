#include "tree.hpp"

#include <nanobind/stl/optional.h>

#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "binding.hpp"
#include "condense.hpp"
#include "linkage.hpp"
#include "spanning_forest.hpp"

namespace shoal {
namespace {

using IntArray = Array<int64_t, 1>;
using DoubleArray = Array<double, 1>;

template <class Value>
std::span<const Value> span_of(const Array<Value, 1>& array) {
    return {array.data(), array.shape(0)};
}

template <class Value>
nb::ndarray<nb::numpy, Value> to_numpy(std::vector<Value>&& values) {
    auto* const kept = new std::vector<Value>(std::move(values));
    nb::capsule owner(kept, [](void* memory) noexcept { delete static_cast<std::vector<Value>*>(memory); });
    return nb::ndarray<nb::numpy, Value>(kept->data(), {kept->size()}, owner);
}

template <class... Arrays>
void check_same_length(size_t length, const Arrays&... arrays) {
    if (((arrays.shape(0) != length) || ...))
        throw std::invalid_argument("arrays that belong together differ in length");
}

template <class Compute>
auto without_gil(Compute&& compute) {
    nb::gil_scoped_release released;
    return compute();
}

Linkage linkage_of(const IntArray& left, const IntArray& right, const DoubleArray& height, const IntArray& size) {
    check_same_length(left.shape(0), right, height, size);
    return {span_of<int64_t>(left), span_of<int64_t>(right), span_of<double>(height), span_of<int64_t>(size)};
}

template <class Row>
auto forest(const Array<Row, 1>& left, const Array<Row, 1>& right, const DoubleArray& weight, const DoubleArray& length,
            const Array<uint32_t, 1>& rank, int threads) {
    check_same_length(left.shape(0), right, weight, length);
    const WeightedEdges<Row> edges{span_of<Row>(left), span_of<Row>(right), span_of<double>(weight),
                                   span_of<double>(length)};
    Control control;
    control.threads = threads;
    return to_numpy(without_gil([&] { return spanning_forest<Row>(edges, span_of<uint32_t>(rank), control); }));
}

template <class Row>
void bind_forest(nb::module_& m) {
    m.def("spanning_forest", &forest<Row>, nb::arg("left").noconvert(), nb::arg("right").noconvert(),
          nb::arg("weight").noconvert(), nb::arg("length").noconvert(), nb::arg("rank").noconvert(),
          nb::arg("threads"));
}

nb::tuple merges(const IntArray& left, const IntArray& right) {
    check_same_length(left.shape(0), right);
    Merges made = without_gil([&] { return single_linkage(span_of<int64_t>(left), span_of<int64_t>(right)); });
    return nb::make_tuple(to_numpy(std::move(made.left)), to_numpy(std::move(made.right)),
                          to_numpy(std::move(made.size)));
}

nb::tuple ordered(const IntArray& left, const IntArray& right, const DoubleArray& height, const IntArray& size) {
    const Linkage tree = linkage_of(left, right, height, size);
    LeafOrder leaves = without_gil([&] { return leaf_order(tree); });
    return nb::make_tuple(to_numpy(std::move(leaves.order)), to_numpy(std::move(leaves.gaps)));
}

auto meetings(const IntArray& left, const IntArray& right, const DoubleArray& height, const IntArray& size,
              const IntArray& first, const IntArray& second) {
    const Linkage tree = linkage_of(left, right, height, size);
    check_same_length(first.shape(0), second);
    return to_numpy(
        without_gil([&] { return meeting_heights(tree, span_of<int64_t>(first), span_of<int64_t>(second)); }));
}

nb::tuple condensed(const IntArray& left, const IntArray& right, const DoubleArray& height, const IntArray& size,
                    int64_t min_cluster_size, const IntArray& weight, const DoubleArray& core) {
    const Linkage tree = linkage_of(left, right, height, size);
    check_same_length(size_t(tree.rows()), weight, core);
    CondensedTree made = without_gil(
        [&] { return condense(tree, min_cluster_size, span_of<int64_t>(weight), span_of<double>(core)); });
    return nb::make_tuple(to_numpy(std::move(made.parent)), to_numpy(std::move(made.birth)),
                          to_numpy(std::move(made.size)), to_numpy(std::move(made.stability)),
                          to_numpy(std::move(made.cluster)), to_numpy(std::move(made.leaving)));
}

auto selected(const IntArray& parent, const DoubleArray& birth, const IntArray& size, const DoubleArray& stability,
              bool leaf, double epsilon, std::optional<int64_t> max_size, bool allow_single) {
    check_same_length(parent.shape(0), birth, size, stability);
    const Clusters clusters{span_of<int64_t>(parent), span_of<double>(birth), span_of<int64_t>(size),
                            span_of<double>(stability)};
    const Selection how{leaf, epsilon, max_size.value_or(std::numeric_limits<int64_t>::max()), allow_single};
    return to_numpy(without_gil([&] { return select_clusters(clusters, how); }));
}

auto above(const IntArray& parent, const IntArray& chosen) {
    return to_numpy(without_gil([&] { return chosen_above(span_of<int64_t>(parent), span_of<int64_t>(chosen)); }));
}

auto outliers(const IntArray& parent, const IntArray& cluster, const DoubleArray& leaving) {
    check_same_length(cluster.shape(0), leaving);
    return to_numpy(without_gil([&] {
        return outlier_scores(span_of<int64_t>(parent), span_of<int64_t>(cluster), span_of<double>(leaving));
    }));
}

}  // namespace

void bind_tree(nb::module_& m) {
    bind_forest<int64_t>(m);
    bind_forest<int32_t>(m);
    m.def("single_linkage", &merges, nb::arg("left").noconvert(), nb::arg("right").noconvert());
    m.def("leaf_order", &ordered, nb::arg("left").noconvert(), nb::arg("right").noconvert(),
          nb::arg("height").noconvert(), nb::arg("size").noconvert());
    m.def("meeting_heights", &meetings, nb::arg("left").noconvert(), nb::arg("right").noconvert(),
          nb::arg("height").noconvert(), nb::arg("size").noconvert(), nb::arg("first").noconvert(),
          nb::arg("second").noconvert());
    m.def("condense", &condensed, nb::arg("left").noconvert(), nb::arg("right").noconvert(),
          nb::arg("height").noconvert(), nb::arg("size").noconvert(), nb::arg("min_cluster_size"),
          nb::arg("weight").noconvert(), nb::arg("core").noconvert());
    m.def("select_clusters", &selected, nb::arg("parent").noconvert(), nb::arg("birth").noconvert(),
          nb::arg("size").noconvert(), nb::arg("stability").noconvert(), nb::arg("leaf"), nb::arg("epsilon"),
          nb::arg("max_size").none(), nb::arg("allow_single"));
    m.def("chosen_above", &above, nb::arg("parent").noconvert(), nb::arg("chosen").noconvert());
    m.def("outlier_scores", &outliers, nb::arg("parent").noconvert(), nb::arg("cluster").noconvert(),
          nb::arg("leaving").noconvert());
}

}  // namespace shoal
