#include <nanobind/stl/optional.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "binding.hpp"
#include "checked_arrays.hpp"
#include "communities.hpp"
#include "neighbor_graph.hpp"

namespace shoal {
namespace {

using Places = nb::ndarray<nb::numpy, int32_t>;
using Starts = Array<int64_t, 1>;
using Ends = Array<int32_t, 1>;
using Weights = Array<float, 1>;
using Numbers = Array<double, 1>;

// Calls find(graph, expected, control, labels) for labels (layers, vertices).
template <class Find>
Places labelled(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
                size_t layers, int threads, nb::object tick, Find&& find) {
    check_graph(start, to, weight.shape(0));
    const size_t count = start.shape(0) - 1;
    if (strength.shape(0) != count) throw std::invalid_argument("strength must have one entry a vertex");
    auto labels = std::make_unique<int32_t[]>(layers * count);
    const Control control = control_of(threads, std::move(tick));
    {
        nb::gil_scoped_release released;
        const GraphView graph{int64_t(count), start.data(), to.data(), weight.data()};
        find(graph, Expectation{strength.data(), total}, control, labels.get());
    }
    return to_numpy(std::move(labels), {layers, count});
}

using MaybeLabels = std::optional<Array<int32_t, 1>>;

// Given groups or communities 0..count-1, or null.
const int32_t* given_labels(const MaybeLabels& labels, size_t count) {
    if (!labels) return nullptr;
    if (labels->shape(0) != count) throw std::invalid_argument("what is given must have one entry a vertex");
    for (size_t v = 0; v < count; ++v)
        if (labels->data()[v] < 0 || size_t(labels->data()[v]) >= count)
            throw std::invalid_argument("what is given must be numbered from 0");
    return labels->data();
}

Places groups(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
              double resolution, int64_t most, int threads, nb::object tick) {
    return labelled(start, to, weight, strength, total, 1, threads, std::move(tick),
                    [&](const GraphView& graph, const Expectation& expected, const Control& control, int32_t* labels) {
                        groups_of_vertices(graph, expected, resolution, most, control, labels);
                    });
}

Places layers(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
              const MaybeLabels& groups, const Numbers& resolutions, uint64_t seed, int threads, nb::object tick) {
    const size_t count = resolutions.shape(0);
    const Given given{given_labels(groups, start.shape(0) - 1), nullptr};
    return labelled(start, to, weight, strength, total, count, threads, std::move(tick),
                    [&](const GraphView& graph, const Expectation& expected, const Control& control, int32_t* labels) {
                        layers_of_communities(graph, expected, given, resolutions.data(), int64_t(count), seed,
                                              control, labels);
                    });
}

Places runs(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
            const MaybeLabels& groups, const MaybeLabels& within, double resolution, const Array<uint64_t, 1>& seeds, int rounds,
            int threads, nb::object tick) {
    const size_t count = seeds.shape(0), vertices = start.shape(0) - 1;
    const Given given{given_labels(groups, vertices), given_labels(within, vertices)};
    return labelled(start, to, weight, strength, total, count, threads, std::move(tick),
                    [&](const GraphView& graph, const Expectation& expected, const Control& control, int32_t* labels) {
                        runs_of_communities(graph, expected, given, resolution, seeds.data(), int64_t(count), rounds,
                                            control, labels);
                    });
}

Places common(const Array<int32_t, 2>& labels) {
    const size_t count = labels.shape(1);
    auto groups = std::make_unique<int32_t[]>(count);
    {
        nb::gil_scoped_release released;
        common_groups(labels.data(), int64_t(labels.shape(0)), int64_t(count), groups.get());
    }
    return to_numpy(std::move(groups), {count});
}

template <class Value>
auto copied(const std::vector<Value>& values) {
    auto copy = std::make_unique<Value[]>(values.size());
    std::copy(values.begin(), values.end(), copy.get());
    return to_numpy(std::move(copy), {values.size()});
}

nb::tuple arrays_of(const OwnedGraph& graph) {
    return nb::make_tuple(copied(graph.start), copied(graph.to), copied(graph.weight));
}

nb::tuple join(const Starts& start, const Ends& to, const Weights& weight, const Array<int32_t, 1>& groups, int threads) {
    check_graph(start, to, weight.shape(0));
    const size_t count = start.shape(0) - 1;
    const int32_t* given = given_labels(groups, count);
    const int32_t parts = count == 0 ? 0 : *std::max_element(given, given + count) + 1;
    OwnedGraph graph;
    {
        nb::gil_scoped_release released;
        Control control;
        control.threads = threads;
        graph = joined_groups({int64_t(count), start.data(), to.data(), weight.data()}, given, parts, control);
    }
    return arrays_of(graph);
}

nb::tuple agreed(const Starts& start, const Ends& to, const Weights& weight, const Array<int32_t, 2>& labels,
                 int threads) {
    check_graph(start, to, weight.shape(0));
    if (labels.shape(1) + 1 != start.shape(0)) throw std::invalid_argument("labels must have one entry a vertex");
    int64_t together = 0, pairs = 0;
    OwnedGraph graph;
    {
        nb::gil_scoped_release released;
        Control control;
        control.threads = threads;
        graph = agreed_graph({int64_t(labels.shape(1)), start.data(), to.data(), weight.data()}, labels.data(),
                             int64_t(labels.shape(0)), control, &together, &pairs);
    }
    return nb::make_tuple(copied(graph.start), copied(graph.to), copied(graph.weight), together, pairs);
}

nb::tuple fuzzy(const Array<int32_t, 2>& to, const Array<float, 2>& weight, int threads) {
    const size_t count = to.shape(0), near = to.shape(1);
    if (weight.shape(0) != count || weight.shape(1) != near) throw std::invalid_argument("each neighbour has a weight");
    for (size_t at = 0; at < count * near; ++at)
        if (to.data()[at] < 0 || size_t(to.data()[at]) >= count) throw std::invalid_argument("to must name vertices");
    OwnedGraph graph;
    {
        nb::gil_scoped_release released;
        Control control;
        control.threads = threads;
        graph = joined_both_ways(to.data(), weight.data(), int64_t(count), int64_t(near), control);
    }
    return arrays_of(graph);
}

nb::tuple home(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength,
               const Array<int32_t, 1>& labels, int threads) {
    check_graph(start, to, weight.shape(0));
    const size_t count = start.shape(0) - 1;
    if (strength.shape(0) != count || labels.shape(0) != count)
        throw std::invalid_argument("strength and labels must have one entry a vertex");
    int32_t label_count = 0;
    for (size_t v = 0; v < count; ++v) {
        if (labels.data()[v] < 0) throw std::invalid_argument("labels must not be negative");
        label_count = std::max(label_count, labels.data()[v] + 1);
    }
    auto homes = std::make_unique<int32_t[]>(count);
    auto shares = std::make_unique<float[]>(count);
    {
        nb::gil_scoped_release released;
        Control control;
        control.threads = threads;
        walk_home({int64_t(count), start.data(), to.data(), weight.data()}, strength.data(), labels.data(), label_count,
                  control, homes.get(), shares.get());
    }
    return nb::make_tuple(to_numpy(std::move(homes), {count}), to_numpy(std::move(shares), {count}));
}

nb::tuple inner_weights(const Starts& start, const Ends& to, const Weights& weight, const Array<int32_t, 2>& labels,
                        int threads) {
    check_graph(start, to, weight.shape(0));
    const size_t layers = labels.shape(0);
    if (labels.shape(1) + 1 != start.shape(0)) throw std::invalid_argument("labels must have one entry a vertex");
    auto weights = std::make_unique<double[]>(layers);
    auto edges = std::make_unique<int64_t[]>(layers);
    {
        nb::gil_scoped_release released;
        Control control;
        control.threads = threads;
        weights_within({int64_t(labels.shape(1)), start.data(), to.data(), weight.data()}, labels.data(),
                       int64_t(layers), control, weights.get(), edges.get());
    }
    return nb::make_tuple(to_numpy(std::move(weights), {layers}), to_numpy(std::move(edges), {layers}));
}

}  // namespace

void bind_graph(nb::module_& m) {
    m.def("groups_of_vertices", &groups, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"),
          nb::arg("total"), nb::arg("resolution"), nb::arg("most"), nb::arg("threads"), nb::arg("tick").none());
    m.def("layers_of_communities", &layers, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"),
          nb::arg("total"), nb::arg("groups").none(), nb::arg("resolutions"), nb::arg("seed"), nb::arg("threads"),
          nb::arg("tick").none());
    m.def("runs_of_communities", &runs, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"),
          nb::arg("total"), nb::arg("groups").none(), nb::arg("within").none(), nb::arg("resolution"), nb::arg("seeds"),
          nb::arg("rounds"), nb::arg("threads"), nb::arg("tick").none());
    m.def("common_groups", &common, nb::arg("labels"));
    m.def("joined_groups", &join, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("groups"),
          nb::arg("threads"));
    m.def("agreed_graph", &agreed, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("labels"),
          nb::arg("threads"));
    m.def("joined_both_ways", &fuzzy, nb::arg("to"), nb::arg("weight"), nb::arg("threads"));
    m.def("walk_home", &home, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"),
          nb::arg("labels"), nb::arg("threads"));
    m.def("weights_within", &inner_weights, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("labels"),
          nb::arg("threads"));
}

}  // namespace shoal
