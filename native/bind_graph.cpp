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

nb::ndarray<nb::numpy, int32_t> communities(
    const Array<int64_t, 1>& start, const Array<int32_t, 1>& to, const Array<float, 1>& weight,
    const Array<double, 1>& strength, double total, const Array<double, 1>& resolutions, uint64_t seed, int iterations, int threads, nb::object tick) {
    check_graph(start, to, weight);
    if (strength.shape(0) + 1 != start.shape(0)) throw std::invalid_argument("strength must have one entry a vertex");
    const size_t count = start.shape(0) - 1, layers = resolutions.shape(0);
    auto labels = std::make_unique<int32_t[]>(layers * count);
    const Control control = control_of(threads, std::move(tick));
    {
        nb::gil_scoped_release released;
        const GraphView graph{int64_t(count), start.data(), to.data(), weight.data()};
        find_communities(graph, strength.data(), total, resolutions.data(), int64_t(layers), seed, iterations, control, labels.get());
    }
    return to_numpy(std::move(labels), {layers, count});
}

}  // namespace

void bind_graph(nb::module_& m) {
    m.def("communities", &communities, nb::arg("start"), nb::arg("to"), nb::arg("weight"), nb::arg("strength"), nb::arg("total"),
          nb::arg("resolutions"), nb::arg("seed"), nb::arg("iterations"), nb::arg("threads"), nb::arg("tick").none());
}

}  // namespace shoal
