// Shared by all bindings: arrays in and out, and a Control that calls back into Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>

#include "parallel.hpp"

namespace shoal {

namespace nb = nanobind;

template <class Value, size_t dimensions>
using Array = nb::ndarray<const Value, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;

// A fresh NumPy array that owns `values`.
template <class Value>
nb::ndarray<nb::numpy, Value> to_numpy(std::unique_ptr<Value[]> values, std::initializer_list<size_t> shape) {
    Value* data = values.release();
    nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<Value*>(memory); });
    return nb::ndarray<nb::numpy, Value>(data, shape, owner);
}

// `tick` is a callable that takes the fraction done and may raise, or None. Ctrl-C is handled in either case.
inline Control control_of(int threads, nb::object tick) {
    Control control;
    control.threads = threads;
    control.tick = [tick = std::make_shared<nb::object>(std::move(tick))](double fraction) {
        nb::gil_scoped_acquire gil;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (!tick->is_none()) (*tick)(fraction);
    };
    return control;
}

}  // namespace shoal
