#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <stdexcept>

#include "assignment.hpp"
#include "binding.hpp"
#include "checked_arrays.hpp"
#include "dispatch.hpp"
#include "means.hpp"
#include "row_keys.hpp"
#include "starts.hpp"

namespace shoal {
namespace {

using Keys = nb::ndarray<nb::numpy, uint64_t>;

Keys keys_of(const Array<float, 2>& values, int threads) {
    const size_t count = values.shape(0);
    auto keys = std::make_unique<uint64_t[]>(count);
    const Control control = control_of(threads, nb::none());
    {
        nb::gil_scoped_release released;
        row_keys(values.data(), int64_t(count), int64_t(values.shape(1)), control, keys.get());
    }
    return to_numpy(std::move(keys), {count});
}

Centers centers_of(const Codes& rows, const Codes& codes, const Array<float, 2>& values,
                   const Array<int32_t, 1>& numbers) {
    if (&codes.version() != &rows.version() || codes.dimensions() != rows.dimensions() || codes.unit() != rows.unit() ||
        codes.stages().count != rows.stages().count || codes.stages().groups() != rows.stages().groups())
        throw std::invalid_argument("rows and centers must be coded in the same frame, for the same instructions");
    if (codes.count() < 1 || values.shape(0) != size_t(codes.count()) || numbers.shape(0) != size_t(codes.count()))
        throw std::invalid_argument("centers must have one row and one number for each code");
    for (int64_t place = 0; place < codes.count(); ++place)
        if (numbers.data()[place] < 0 || numbers.data()[place] >= codes.count())
            throw std::invalid_argument("numbers must hold each center once");
    return {&codes, values.data(), int64_t(values.shape(1)), numbers.data()};
}

// An Assignment together with the arrays it refers to.
class Assigning {
  public:
    Assigning(nb::object codes, Array<float, 2> values, Array<int32_t, 1> order, int64_t center_count,
              int64_t kept_bytes)
        : owner_(std::move(codes)), values_(std::move(values)), order_(std::move(order)),
          codes_(nb::cast<const Codes&>(owner_)), center_count_(center_count),
          assignment_(codes_, rows_of(codes_, values_, order_), center_count, kept_bytes) {}

    nb::tuple step(const Codes& center_codes, const Array<float, 2>& centers, const Array<int32_t, 1>& numbers,
                   const std::optional<Array<double, 1>>& drift, int threads, nb::object tick) {
        const Centers all = centers_of(codes_, center_codes, centers, numbers);
        if (center_codes.count() != center_count_ || centers.shape(1) != values_.shape(1) ||
            (drift && int64_t(drift->shape(0)) != center_count_))
            throw std::invalid_argument("centers must be as many in each step, with one drift each");
        if (drift.has_value() != begun_) throw std::invalid_argument("drift is for the steps after the first");
        const Control control = control_of(threads, std::move(tick));
        std::vector<Move> moves;
        StepCounts counts;
        std::unique_ptr<int64_t[]> rows;
        std::unique_ptr<int32_t[]> from, to;
        {
            nb::gil_scoped_release released;
            moves = assignment_.step(all, drift ? drift->data() : nullptr, control, counts);
            rows = std::make_unique<int64_t[]>(moves.size());
            from = std::make_unique<int32_t[]>(moves.size());
            to = std::make_unique<int32_t[]>(moves.size());
            for (size_t at = 0; at < moves.size(); ++at) {
                rows[at] = moves[at].row;
                from[at] = moves[at].from;
                to[at] = moves[at].to;
            }
        }
        begun_ = true;
        const size_t count = moves.size();
        return nb::make_tuple(to_numpy(std::move(rows), {count}), to_numpy(std::move(from), {count}),
                              to_numpy(std::move(to), {count}),
                              nb::make_tuple(counts.tiles, counts.hits, counts.measured));
    }

  private:
    nb::object owner_;
    Array<float, 2> values_;
    Array<int32_t, 1> order_;
    const Codes& codes_;
    int64_t center_count_;
    Assignment assignment_;
    bool begun_ = false;
};

nb::tuple two_nearest(const Codes& codes, const Array<float, 2>& values, const Array<int32_t, 1>& order,
                      const Codes& center_codes, const Array<float, 2>& centers, const Array<int32_t, 1>& numbers,
                      int threads, nb::object tick) {
    const Rows rows = rows_of(codes, values, order);
    const Centers all = centers_of(codes, center_codes, centers, numbers);
    if (centers.shape(1) != values.shape(1)) throw std::invalid_argument("rows and centers must have the same columns");
    const size_t count = size_t(codes.count());
    auto labels = std::make_unique<int32_t[]>(count);
    auto squares = std::make_unique<double[]>(2 * count);
    const Control control = control_of(threads, std::move(tick));
    {
        nb::gil_scoped_release released;
        nearest_two(codes, rows, all, control, labels.get(), squares.get());
    }
    return nb::make_tuple(to_numpy(std::move(labels), {count}), to_numpy(std::move(squares), {count, size_t(2)}));
}

nb::ndarray<nb::numpy, double> moved(const Array<float, 2>& values, const Array<int64_t, 1>& rows,
                                     const Array<int32_t, 1>& from, const Array<int32_t, 1>& to,
                                     const Array<double, 2>& sums, double quantum, int threads) {
    const size_t count = rows.shape(0), cells = sums.shape(0) * sums.shape(1);
    if (from.shape(0) != count || to.shape(0) != count || sums.shape(1) != values.shape(1))
        throw std::invalid_argument("rows, from, to and sums do not fit each other");
    const auto center = [&](int32_t number) { return number >= -1 && number < int64_t(sums.shape(0)); };
    for (size_t at = 0; at < count; ++at)
        if (rows.data()[at] < 0 || rows.data()[at] >= int64_t(values.shape(0)) || !center(from.data()[at]) ||
            !center(to.data()[at]))
            throw std::invalid_argument("rows or centers out of range");
    const Control control = control_of(threads, nb::none());
    auto all = std::make_unique<double[]>(cells);
    {
        nb::gil_scoped_release released;
        std::copy(sums.data(), sums.data() + cells, all.get());
        move_rows(values.data(), int64_t(values.shape(1)), rows.data(), from.data(), to.data(), int64_t(count),
                  int64_t(sums.shape(0)), quantum, control, all.get());
    }
    return to_numpy(std::move(all), {sums.shape(0), sums.shape(1)});
}

// The squared distance of each pair of a row and a center, (m,).
nb::ndarray<nb::numpy, double> squares_of(const Array<float, 2>& values, const Array<int64_t, 1>& rows,
                                          const Array<float, 2>& centers, const Array<int32_t, 1>& numbers,
                                          int threads) {
    const size_t count = rows.shape(0);
    const int64_t dimensions = int64_t(values.shape(1));
    if (numbers.shape(0) != count || int64_t(centers.shape(1)) != dimensions)
        throw std::invalid_argument("rows, centers and numbers do not fit each other");
    for (size_t at = 0; at < count; ++at)
        if (rows.data()[at] < 0 || rows.data()[at] >= int64_t(values.shape(0)) || numbers.data()[at] < 0 ||
            numbers.data()[at] >= int64_t(centers.shape(0)))
            throw std::invalid_argument("rows or numbers out of range");
    auto squares = std::make_unique<double[]>(count);
    const Control control = control_of(threads, nb::none());
    {
        nb::gil_scoped_release released;
        constexpr int64_t kStretch = 4096;
        parallel_for((int64_t(count) + kStretch - 1) / kStretch, control, [&](int64_t part, int) {
            for (int64_t at = part * kStretch; at < std::min((part + 1) * kStretch, int64_t(count)); ++at)
                squares[at] = kernels().square_distance(values.data() + rows.data()[at] * dimensions,
                                                        centers.data() + numbers.data()[at] * dimensions, dimensions);
        });
    }
    return to_numpy(std::move(squares), {count});
}

nb::ndarray<nb::numpy, int64_t> starts(const Codes& codes, const Array<float, 2>& values,
                                       const Array<int32_t, 1>& order, int64_t first, const Array<double, 2>& draws,
                                       int threads, nb::object tick) {
    const Rows rows = rows_of(codes, values, order);
    const size_t wanted = draws.shape(0) + 1;
    if (int64_t(values.shape(0)) != codes.count() || first < 0 || first >= codes.count() || draws.shape(1) < 1)
        throw std::invalid_argument("all rows must be coded, first be one of them, and draws hold a trial at least");
    auto chosen = std::make_unique<int64_t[]>(wanted);
    const Control control = control_of(threads, std::move(tick));
    {
        nb::gil_scoped_release released;
        spread_starts(codes, rows, int64_t(wanted), first, draws.data(), int(draws.shape(1)), control, chosen.get());
    }
    return to_numpy(std::move(chosen), {wanted});
}

}  // namespace

void bind_kmeans(nb::module_& m) {
    m.def("row_keys", &keys_of, nb::arg("values"), nb::arg("threads"));
    m.def("lot", [] { return kernels().panels_a_call * kPanel; });
    nb::class_<Assigning>(m, "Assignment")
        .def(nb::init<nb::object, Array<float, 2>, Array<int32_t, 1>, int64_t, int64_t>(), nb::arg("codes"),
             nb::arg("values"), nb::arg("order"), nb::arg("center_count"), nb::arg("kept_bytes"))
        .def("step", &Assigning::step, nb::arg("center_codes"), nb::arg("centers"), nb::arg("numbers"),
             nb::arg("drift").none(), nb::arg("threads"), nb::arg("tick").none());
    m.def("two_nearest", &two_nearest, nb::arg("codes"), nb::arg("values"), nb::arg("order"), nb::arg("center_codes"),
          nb::arg("centers"), nb::arg("numbers"), nb::arg("threads"), nb::arg("tick").none());
    m.def("squares_to", &squares_of, nb::arg("values"), nb::arg("rows"), nb::arg("centers"), nb::arg("numbers"),
          nb::arg("threads"));
    m.def("spread_starts", &starts, nb::arg("codes"), nb::arg("values"), nb::arg("order"), nb::arg("first"),
          nb::arg("draws"), nb::arg("threads"), nb::arg("tick").none());
    m.def("move_rows", &moved, nb::arg("values"), nb::arg("rows"), nb::arg("from_"), nb::arg("to"), nb::arg("sums"),
          nb::arg("quantum"), nb::arg("threads"));
}

}  // namespace shoal
