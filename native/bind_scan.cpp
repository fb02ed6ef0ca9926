#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>

#include "binding.hpp"
#include "close_pairs.hpp"
#include "checked_arrays.hpp"
#include "codes.hpp"
#include "dispatch.hpp"
#include "joining_edges.hpp"
#include "neighbors.hpp"
#include "reachability_graph.hpp"

namespace shoal {
namespace {

void make(Codes* place, int64_t count, int dimensions, const std::vector<int>& stages, float unit) {
    if (count < 0 || dimensions < 1 || !(unit > 0.0f) || !std::isfinite(unit))
        throw std::invalid_argument("count, dimensions and unit must be positive");
    bool fit = !stages.empty() && stages.size() <= size_t(kMostStages) && stages.back() >= dimensions;
    for (size_t stage = 0; stage < stages.size(); ++stage)
        fit = fit && stages[stage] % 8 == 0 && stages[stage] > (stage == 0 ? 0 : stages[stage - 1]);
    if (!fit) throw std::invalid_argument("stages must ascend in multiples of 8, at most 8 of them, and hold all dimensions");
    new (place) Codes(count, dimensions, stages, unit);
}

void write(Codes& codes, int64_t first, const Array<float, 2>& coordinates, float slack) {
    if (int64_t(coordinates.shape(1)) != codes.dimensions() || first < 0 ||
        first + int64_t(coordinates.shape(0)) > codes.count())
        throw std::invalid_argument("coordinates do not fit the codes");
    nb::gil_scoped_release released;
    codes.write(first, int64_t(coordinates.shape(0)), coordinates.data(), slack);
}

Codes reordered(const Codes& codes, const Array<int32_t, 1>& order, int threads) {
    check_permutation(codes, order);
    nb::gil_scoped_release released;
    return codes.reordered(order.data(), threads);
}

void check_pairs(const Codes& codes, const Array<int32_t, 2>& pairs) {
    if (pairs.shape(1) != 2) throw std::invalid_argument("pairs must be (m, 2)");
    for (size_t at = 0; at < 2 * pairs.shape(0); at += 2) {
        const int64_t first = pairs.data()[at], second = pairs.data()[at + 1];
        if (first < 0 || second < first || second >= codes.blocks())
            throw std::invalid_argument("pairs must name blocks, the first not after the second");
    }
}

void check_rank(const Codes& codes, const Array<int32_t, 1>& rank) {
    if (int64_t(rank.shape(0)) != codes.count())
        throw std::invalid_argument("rank must have one entry for each code");
}

nb::tuple nearest(
    const Codes& codes, const Array<float, 2>& values, const Array<int32_t, 1>& order, const Array<int32_t, 1>& rank,
    int wanted, float certainty, const Array<int32_t, 2>& pairs, int threads,
    nb::object tick) {
    const Rows rows = rows_of(codes, values, order);
    check_rank(codes, rank);
    check_pairs(codes, pairs);
    if (wanted < 1) throw std::invalid_argument("wanted must be at least 1");
    const size_t cells = size_t(codes.count()) * wanted;
    auto places = std::make_unique<int32_t[]>(cells);
    auto squares = std::make_unique<double[]>(cells);
    const Control control = control_of(threads, std::move(tick));
    NeighborCounts counts;
    {
        nb::gil_scoped_release released;
        counts = nearest_rows(codes, rows, rank.data(), wanted, certainty, pairs.data(),
                              int64_t(pairs.shape(0)), control, places.get(), squares.get());
    }
    const size_t count = size_t(codes.count());
    return nb::make_tuple(to_numpy(std::move(places), {count, size_t(wanted)}),
                          to_numpy(std::move(squares), {count, size_t(wanted)}), counts.hits, counts.candidates);
}

nb::tuple close(
    const Codes& codes, const Array<float, 2>& values, const Array<int32_t, 1>& order, const Array<double, 1>& gaps,
    const std::optional<Array<double, 1>>& core, const Array<int32_t, 2>& blocks, int64_t capacity, int threads,
    nb::object tick) {
    const Rows rows = rows_of(codes, values, order);
    check_pairs(codes, blocks);
    if (int64_t(gaps.shape(0)) + 1 != codes.count()) throw std::invalid_argument("gaps must be one less than rows");
    if (core && int64_t(core->shape(0)) != codes.count()) throw std::invalid_argument("core must be as long as rows");
    const Control control = control_of(threads, std::move(tick));
    ClosePairs found;
    std::unique_ptr<int32_t[]> left, right;
    std::unique_ptr<double[]> squares;
    {
        nb::gil_scoped_release released;
        found = close_pairs(codes, rows, gaps.data(), core ? core->data() : nullptr, blocks.data(),
                            int64_t(blocks.shape(0)), capacity, control);
        left = std::make_unique<int32_t[]>(found.pairs.size());
        right = std::make_unique<int32_t[]>(found.pairs.size());
        squares = std::make_unique<double[]>(found.pairs.size());
        for (size_t at = 0; at < found.pairs.size(); ++at) {
            left[at] = found.pairs[at].left;
            right[at] = found.pairs[at].right;
            squares[at] = found.pairs[at].square;
        }
    }
    const size_t count = found.pairs.size();
    return nb::make_tuple(to_numpy(std::move(left), {count}), to_numpy(std::move(right), {count}),
                          to_numpy(std::move(squares), {count}), found.done, found.hits);
}

nb::tuple joining(
    const Codes& codes, const Array<float, 2>& values, const Array<int32_t, 1>& order, const Array<int32_t, 1>& rank,
    const Array<double, 1>& core, const Array<int32_t, 1>& component, int32_t components, int threads,
    nb::object tick) {
    const Rows rows = rows_of(codes, values, order);
    check_rank(codes, rank);
    if (int64_t(core.shape(0)) != codes.count() || int64_t(component.shape(0)) != codes.count() || components < 1)
        throw std::invalid_argument("core and component must have one entry for each code");
    for (int64_t place = 0, last = 0; place < codes.count(); last = component.data()[place++])
        if (component.data()[place] < last || component.data()[place] >= components)
            throw std::invalid_argument("rows must lie in the order of their components");
    const Control control = control_of(threads, std::move(tick));
    std::vector<JoiningEdge> edges;
    {
        nb::gil_scoped_release released;
        edges = joining_edges(codes, rows, rank.data(), core.data(), component.data(), components, control);
    }
    std::erase_if(edges, [](const JoiningEdge& edge) { return edge.left < 0; });
    auto left = std::make_unique<int32_t[]>(edges.size()), right = std::make_unique<int32_t[]>(edges.size());
    auto lengths = std::make_unique<double[]>(edges.size());
    for (size_t at = 0; at < edges.size(); ++at) {
        left[at] = edges[at].left;
        right[at] = edges[at].right;
        lengths[at] = edges[at].length;
    }
    const size_t count = edges.size();
    return nb::make_tuple(to_numpy(std::move(left), {count}), to_numpy(std::move(right), {count}),
                          to_numpy(std::move(lengths), {count}));
}

template <class Value>
nb::ndarray<nb::numpy, Value> copied(const std::vector<Value>& values) {
    auto copy = std::make_unique<Value[]>(values.size());
    std::copy(values.begin(), values.end(), copy.get());
    return to_numpy(std::move(copy), {values.size()});
}

EdgeList edges_of(const Array<int32_t, 1>& left, const Array<int32_t, 1>& right, const Array<double, 1>& weight,
                  size_t rows) {
    const EdgeList edges{{left.data(), left.shape(0)}, {right.data(), right.shape(0)}, {weight.data(), weight.shape(0)}};
    if (edges.left.size() != edges.right.size() || edges.left.size() != edges.weight.size())
        throw std::invalid_argument("left, right and weight must be equally long");
    for (size_t edge = 0; edge < edges.left.size(); ++edge)
        if (edges.left[edge] < 0 || edges.right[edge] < 0 || size_t(edges.left[edge]) >= rows ||
            size_t(edges.right[edge]) >= rows)
            throw std::invalid_argument("edges must name rows");
    return edges;
}

nb::ndarray<nb::numpy, double> core(
    const Array<int32_t, 1>& left, const Array<int32_t, 1>& right, const Array<double, 1>& length,
    const Array<int64_t, 1>& copies, int64_t wanted) {
    std::vector<double> found;
    {
        nb::gil_scoped_release released;
        const EdgeList edges = edges_of(left, right, length, copies.shape(0));
        found = core_distances(edges, {copies.data(), copies.shape(0)}, wanted);
    }
    return copied(found);
}

nb::tuple walked(
    const Array<int32_t, 1>& left, const Array<int32_t, 1>& right, const Array<double, 1>& weight, size_t rows) {
    Walk taken;
    {
        nb::gil_scoped_release released;
        taken = walk(edges_of(left, right, weight, rows), rows);
    }
    return nb::make_tuple(copied(taken.order), copied(taken.steps));
}

}  // namespace

void bind_scan(nb::module_& m) {
    m.attr("BLOCK") = kBlock;
    m.def("instructions", [] { return kernels().name; });
    m.def("levels", [] { return kernels().levels; });
    m.def("available_instructions", [] {
        std::vector<std::string> names;
        for (const Kernels* version : available_kernels()) names.push_back(version->name);
        return names;
    });
    m.def("use_instructions", [](const std::string& name) {
        if (!use_kernels(name)) throw std::invalid_argument("this processor does not run " + name);
    }, nb::arg("name"));
    nb::class_<Codes>(m, "Codes")
        .def("__init__", &make, nb::arg("count"), nb::arg("dimensions"), nb::arg("stages"), nb::arg("unit"))
        .def("write", &write, nb::arg("first"), nb::arg("coordinates"), nb::arg("slack"))
        .def("reordered", &reordered, nb::arg("order"), nb::arg("threads"))
        .def_prop_ro("count", &Codes::count)
        .def_prop_ro("unit", &Codes::unit)
        .def("mean_error", [](const Codes& codes) {
            double sum = 0;
            for (int64_t place = 0; place < codes.count(); ++place) sum += codes.errors()[place];
            return codes.count() > 0 ? sum / double(codes.count()) * codes.unit() : 0.0;
        });
    m.def("nearest_rows", &nearest, nb::arg("codes"), nb::arg("values"), nb::arg("order"), nb::arg("rank"),
          nb::arg("wanted"), nb::arg("certainty"), nb::arg("pairs"), nb::arg("threads"), nb::arg("tick").none());
    m.def("joining_edges", &joining, nb::arg("codes"), nb::arg("values"), nb::arg("order"), nb::arg("rank"),
          nb::arg("core"), nb::arg("component"), nb::arg("components"), nb::arg("threads"), nb::arg("tick").none());
    m.def("core_distances", &core, nb::arg("left"), nb::arg("right"), nb::arg("length"), nb::arg("copies"),
          nb::arg("wanted"));
    m.def("walk", &walked, nb::arg("left"), nb::arg("right"), nb::arg("weight"), nb::arg("rows"));
    m.def("close_pairs", &close, nb::arg("codes"), nb::arg("values"), nb::arg("order"), nb::arg("gaps"),
          nb::arg("core").none(), nb::arg("blocks"), nb::arg("capacity"), nb::arg("threads"), nb::arg("tick").none());
}

}  // namespace shoal
