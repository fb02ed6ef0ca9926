#include "codes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dispatch.hpp"

namespace shoal {
namespace {

// Rounds small numbers to the nearest integer without a library call.
inline float rounded(float value) { return (value + 12582912.0f) - 12582912.0f; }

}  // namespace

Codes::Codes(int64_t count, int dimensions, const std::vector<int>& stages, float unit)
    : count_(count), padded_((count + 63) / 64 * 64), dimensions_(dimensions), unit_(unit),
      version_(&kernels()) {
    stages_.count = int(stages.size());
    for (int stage = 0; stage < stages_.count; ++stage) stages_.end[stage] = stages[stage] / kGroup;
    stages_.shift = stages_.count > 1 ? 2 : 0;
    panels_.assign(padded_ / kPanel * panel_bytes(), 0);
    row_half_.assign(stages_.count * padded_, kPadding);
    column_half_.assign(stages_.count * padded_, kPadding);
    errors_.assign(padded_, 0.0f);
    lengths_.assign(padded_, 0.0f);
}

void Codes::write(int64_t first, int64_t rows, const float* coordinates, float slack) {
    for (int64_t row = 0; row < rows; ++row) write_row(first + row, coordinates + row * dimensions_, slack);
}

void Codes::write_row(int64_t place, const float* coordinates, float slack) {
    int8_t* codes = panels_.data() + place / kPanel * panel_bytes() + place % kPanel * kGroup;
    const float levels = float(version_->levels);
    double lost = 0.0, length = 0.0;
    int64_t squares = 0, total = 0;
    int dimension = 0;
    for (int stage = 0; stage < stages_.count; ++stage) {
        const int weight = stage == 0 && stages_.shift != 0 ? 2 : 1;
        const float step = unit_ * float(weight), inverse = 1.0f / step;
        const int end = std::min(stages_.end[stage] * kGroup, dimensions_);
        int64_t own_squares = 0, own_total = 0;
        for (; dimension < end; ++dimension) {
            const float value = coordinates[dimension];
            const float code = rounded(std::min(std::max(value * inverse, -levels), levels));
            const double rest = double(value) - double(code) * double(step);
            lost += rest * rest;
            length += double(value) * double(value);
            own_squares += int64_t(code) * int64_t(code);
            own_total += int64_t(code);
            codes[dimension / kGroup * kPanel * kGroup + dimension % kGroup] = int8_t(code);
        }
        squares += own_squares * weight * weight;
        total += own_total * weight * weight;
        row_half_[stage * padded_ + place] = int32_t(squares / 2);
        column_half_[stage * padded_ + place] = int32_t(squares / 2 + version_->offset * total);
    }
    errors_[place] = float((std::sqrt(lost) + std::sqrt(length) * slack) / unit_ * (1 + 1e-6));
    lengths_[place] = float(std::sqrt(length) / unit_);
}

Codes Codes::reordered(const int32_t* order, int threads) const {
    Codes copy = *this;
    Control control;
    control.threads = threads;
    parallel_for((count_ + kBlock - 1) / kBlock, control, [&](int64_t block, int) {
        const int64_t end = std::min((block + 1) * kBlock, count_);
        for (int64_t place = block * kBlock; place < end; ++place) {
            const int64_t from = order[place];
            const int8_t* source = panels_.data() + from / kPanel * panel_bytes() + from % kPanel * kGroup;
            int8_t* target = copy.panels_.data() + place / kPanel * panel_bytes() + place % kPanel * kGroup;
            for (int64_t group = 0; group < groups(); ++group)
                std::memcpy(target + group * kPanel * kGroup, source + group * kPanel * kGroup, kGroup);
            copy.errors_[place] = errors_[from];
            copy.lengths_[place] = lengths_[from];
            for (int64_t stage = 0; stage < stages_.count; ++stage) {
                copy.row_half_[stage * padded_ + place] = row_half_[stage * padded_ + from];
                copy.column_half_[stage * padded_ + place] = column_half_[stage * padded_ + from];
            }
        }
    });
    return copy;
}

float Codes::largest_error(int64_t from, int64_t to, float most) const {
    float largest = 0.0f;
    for (int64_t place = from; place < std::min(to, count_); ++place)
        if (errors_[place] <= most) largest = std::max(largest, errors_[place]);
    return largest;
}

float Codes::common_error() const {
    constexpr float kFar = 3.0f;  // multiple of the 90 % quantile of errors
    if (count_ == 0) return 0.0f;
    std::vector<float> errors(errors_.begin(), errors_.begin() + count_);
    const auto most = errors.begin() + (count_ - 1) * 9 / 10;
    std::nth_element(errors.begin(), most, errors.end());
    return *most > 0.0f ? kFar * *most : std::numeric_limits<float>::infinity();
}

void Codes::pack(int64_t from, int64_t to, uint8_t* packed) const {
    const uint8_t offset = uint8_t(version_->offset);
    constexpr int kChunk = kTileRows * kGroup;
    const int64_t tile_bytes = groups() * kChunk;
    for (int64_t panel = from / kPanel; panel < to / kPanel; ++panel) {
        const int8_t* source = panels_.data() + panel * panel_bytes();
        for (int64_t group = 0; group < groups(); ++group)
            for (int part = 0; part < kPanel / kTileRows; ++part) {
                uint8_t* target = packed + part * tile_bytes + group * kChunk;
                for (int byte = 0; byte < kChunk; ++byte) target[byte] = uint8_t(uint8_t(source[byte]) + offset);
                source += kChunk;
            }
        packed += kPanel / kTileRows * tile_bytes;
    }
}

Scan Codes::scan(const uint8_t* packed, int64_t row, int row_count, int64_t column, const int32_t* row_least,
                 const int32_t* column_least) const {
    return scan(packed, row, row_count, *this, column, row_least, column_least);
}

Scan Codes::scan(const uint8_t* packed, int64_t row, int row_count, const Codes& others, int64_t column,
                 const int32_t* row_least, const int32_t* column_least) const {
    return {&stages_, packed, row_count, others.panels_.data() + column / kPanel * panel_bytes(),
            version_->panels_a_call, row_half_.data() + row, padded_, others.column_half_.data() + column,
            others.padded_, row_least, column_least};
}

}  // namespace shoal
