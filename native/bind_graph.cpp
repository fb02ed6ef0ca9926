#include <stdexcept>

#include "binding.hpp"
#include "communities.hpp"

namespace shoal {
namespace {

void check_graph(const Array<int64_t, 1>& start, const Array<int32_t, 1>& to, const Array<float, 1>& weight) {
    const int64_t count = int64_t(start.shape(0)) - 1, edges = int64_t(to.shape(0));
    if (count < 0 || start.data()[0] != 0 || start.data()[count] != edges || int64_t(weight.shape(0)) != edges)
        throw std::invalid_argument("start, to and weight are no graph");
    for (int64_t v = 0; v < count; ++v)
        if (start.data()[v] > start.data()[v + 1]) throw std::invalid_argument("start must ascend");
    for (int64_t at = 0; at < edges; ++at)
        if (to.data()[at] < 0 || to.data()[at] >= count) throw std::invalid_argument("to must name vertices");
}

using Places = nb::ndarray<nb::numpy, int32_t>;
using Starts = Array<int64_t, 1>;
using Ends = Array<int32_t, 1>;
using Weights = Array<float, 1>;
using Numbers = Array<double, 1>;

// Calls find(graph, expected, control, labels) for labels (layers, vertices).
template <class Find>
Places labelled(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
                size_t layers, int threads, nb::object tick, Find&& find) {
    check_graph(start, to, weight);
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

Places layers(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
              const Numbers& resolutions, uint64_t seed, int threads, nb::object tick) {
    const size_t count = resolutions.shape(0);
    return labelled(start, to, weight, strength, total, count, threads, std::move(tick),
                    [&](const GraphView& graph, const Expectation& expected, const Control& control, int32_t* labels) {
                        layers_of_communities(graph, expected, resolutions.data(), int64_t(count), seed, control,
                                              labels);
                    });
}

Places runs(const Starts& start, const Ends& to, const Weights& weight, const Numbers& strength, double total,
            double resolution, const Array<uint64_t, 1>& seeds, int rounds, double grouping, int threads, nb::object tick) {
    const size_t count = seeds.shape(0);
    return labelled(start, to, weight, strength, total, count, threads, std::move(tick),
                    [&](const GraphView& graph, const Expectation& expected, const Control& control, int32_t* labels) {
                        runs_of_communities(graph, expected, resolution, seeds.data(), int64_t(count), rounds,
                                            grouping, control, labels);
                    });
}

}  // namespace

void bind_graph(nb::module_& m) {
    m.def("layers_of_communities", &layers, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"),
          nb::arg("total"), nb::arg("resolutions"), nb::arg("seed"), nb::arg("threads"),
          nb::arg("tick").none());
    m.def("runs_of_communities", &runs, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"),
          nb::arg("total"), nb::arg("resolution"), nb::arg("seeds"), nb::arg("rounds"), nb::arg("grouping"),
          nb::arg("threads"), nb::arg("tick").none());
}

}  // namespace shoal
