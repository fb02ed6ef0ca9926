#include "means.hpp"

namespace shoal {
namespace {

constexpr int64_t kStrip = 128;  // dimensions that one thread sums at a time

// Twice a row number, plus 1 if the row leaves.
struct Lists {
    std::vector<int64_t> start;    // of each center
    std::vector<uint64_t> coming;
};

Lists by_center(const int64_t* rows, const int32_t* from, const int32_t* to, int64_t count, int64_t centers) {
    Lists lists{std::vector<int64_t>(centers + 1), {}};
    for (int64_t at = 0; at < count; ++at) {
        if (from[at] >= 0) ++lists.start[from[at] + 1];
        if (to[at] >= 0) ++lists.start[to[at] + 1];
    }
    for (int64_t center = 0; center < centers; ++center) lists.start[center + 1] += lists.start[center];
    lists.coming.resize(lists.start[centers]);
    std::vector<int64_t> next(lists.start.begin(), lists.start.end() - 1);
    for (int64_t at = 0; at < count; ++at) {
        if (from[at] >= 0) lists.coming[next[from[at]]++] = 2 * uint64_t(rows[at]) + 1;
        if (to[at] >= 0) lists.coming[next[to[at]]++] = 2 * uint64_t(rows[at]);
    }
    return lists;
}

}  // namespace

void move_rows(const float* values, int64_t dimensions, const int64_t* rows, const int32_t* from, const int32_t* to,
               int64_t count, int64_t centers, double quantum, const Control& control, double* sums) {
    const Lists lists = by_center(rows, from, to, count, centers);
    const double shift = quantum * 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to multiples of the quantum
    const int64_t strips = (dimensions + kStrip - 1) / kStrip;
    parallel_for(centers * strips, control, [&](int64_t part, int) {
        const int64_t center = part / strips, first = part % strips * kStrip;
        const int64_t width = std::min(kStrip, dimensions - first);
        double* sum = sums + center * dimensions + first;
        for (int64_t at = lists.start[center]; at < lists.start[center + 1]; ++at) {
            const float* own = values + int64_t(lists.coming[at] >> 1) * dimensions + first;
            if ((lists.coming[at] & 1) == 0)
                for (int64_t lane = 0; lane < width; ++lane) sum[lane] += (double(own[lane]) + shift) - shift;
            else
                for (int64_t lane = 0; lane < width; ++lane) sum[lane] -= (double(own[lane]) + shift) - shift;
        }
    });
}

}  // namespace shoal
