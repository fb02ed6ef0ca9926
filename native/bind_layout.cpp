#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <stdexcept>

#include "binding.hpp"
#include "checked_arrays.hpp"
#include "layout.hpp"

namespace shoal {
namespace {

nb::ndarray<nb::numpy, float> settled(const Array<int64_t, 1>& start, const Array<int32_t, 1>& to,
                                      const Array<float, 1>& pull, const Array<float, 1>& mass,
                                      const Array<float, 1>& reach, const Array<float, 2>& places,
                                      std::tuple<float, float, float, int64_t> forces,
                                      std::tuple<int64_t, float, float, float, uint64_t> schedule, int threads,
                                      nb::object tick) {
    check_graph(start, to, pull.shape(0));
    const size_t count = start.shape(0) - 1, components = places.shape(0);
    if (mass.shape(0) != count || reach.shape(0) != count || places.shape(1) != count)
        throw std::invalid_argument("mass, reach and places need one entry for each vertex");
    if (components != 2 && components != 3) throw std::invalid_argument("places must have 2 or 3 components");
    const auto [steepness, repulsion, softness, sample] = forces;
    const auto [rounds, rate, last_rate, momentum, seed] = schedule;
    if (sample < 1) throw std::invalid_argument("sample must be at least 1");
    auto found = std::make_unique<float[]>(components * count);
    std::copy(places.data(), places.data() + components * count, found.get());
    const Control control = control_of(threads, std::move(tick));
    {
        nb::gil_scoped_release released;
        const LayoutGraph graph{int64_t(count), start.data(), to.data(), pull.data(), mass.data(), reach.data()};
        lay_out(graph, {steepness, repulsion, softness, sample}, {rounds, rate, last_rate, momentum, seed},
                int(components), control, found.get());
    }
    return to_numpy(std::move(found), {components, count});
}

}  // namespace

void bind_layout(nb::module_& m) {
    m.def("settled", &settled, nb::arg("start"), nb::arg("to"), nb::arg("pull"), nb::arg("mass"), nb::arg("reach"),
          nb::arg("places"), nb::arg("forces"), nb::arg("schedule"), nb::arg("threads"), nb::arg("tick").none());
}

}  // namespace shoal
