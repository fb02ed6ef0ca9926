#include "scan_loop.hpp"

namespace shoal {
namespace {

struct Tile {
    static constexpr int kPanels = 1;
    int32_t sums[kTileRows][kPanel];

    void clear() {
        for (auto& row : sums)
            for (auto& sum : row) sum = 0;
    }

    void shift(int bits) {
        for (auto& row : sums)
            for (auto& sum : row) sum *= 1 << bits;
    }

    void add(const uint8_t* rows, const int8_t* panel, int64_t, int from, int to) {
        for (int group = from; group < to; ++group) {
            const uint8_t* a = rows + int64_t(group) * kTileRows * kGroup;
            const int8_t* b = panel + int64_t(group) * kPanel * kGroup;
            for (int row = 0; row < kTileRows; ++row)
                for (int column = 0; column < kPanel; ++column)
                    for (int byte = 0; byte < kGroup; ++byte)
                        sums[row][column] += int32_t(a[kGroup * row + byte]) * int32_t(b[kGroup * column + byte]);
        }
    }

    int32_t score(const Bounds& bounds, int row, int column) const {
        return sums[row][column] - (bounds.column_half[column] + bounds.row_half[row]);
    }

    bool hit(const Bounds& bounds, int row, int column) const {
        const int32_t own = bounds.row_least[row], other = bounds.column_least[column];
        return score(bounds, row, column) >= (own < other ? own : other);
    }

    bool any(const Bounds& bounds) const {
        bool found = false;
        for (int row = 0; row < kTileRows; ++row)
            for (int column = 0; column < kPanel; ++column) found |= hit(bounds, row, column);
        return found;
    }

    Hit* write(const Bounds& bounds, int first_row, int first_column, Hit* out) const {
        for (int row = 0; row < kTileRows; ++row)
            for (int column = 0; column < kPanel; ++column)
                if (hit(bounds, row, column))
                    *out++ = {first_row + row, first_column + column, score(bounds, row, column)};
        return out;
    }
};

double square_distance(const float* left, const float* right, int64_t dimensions) {
    double sums[8] = {};
    int64_t at = 0;
    for (; at + 8 <= dimensions; at += 8)
        for (int lane = 0; lane < 8; ++lane) {
            const double difference = double(left[at + lane]) - double(right[at + lane]);
            sums[lane] += difference * difference;
        }
    for (int lane = 0; at < dimensions; ++at, ++lane) {
        const double difference = double(left[at]) - double(right[at]);
        sums[lane] += difference * difference;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace

const Kernels kPortable = {"portable", 127, 128, Tile::kPanels, scan_with<Tile>, probe_with<Tile>, square_distance};

}  // namespace shoal
