#include "binding.hpp"

namespace shoal {

// parallel_for on Python callables: scheduling, progress and cancellation without any computation.
void bind_parallel(nb::module_& m) {
    m.def(
        "parallel_for",
        [](int64_t count, nb::callable work, int threads, nb::object tick) {
            const Control control = control_of(threads, std::move(tick));
            nb::gil_scoped_release released;
            parallel_for(count, control, [&](int64_t index, int thread) {
                nb::gil_scoped_acquire held;
                work(index, thread);
            });
        },
        nb::arg("count"), nb::arg("work"), nb::arg("threads"), nb::arg("tick").none());
}

}  // namespace shoal
