// Rows as int8 codes, in the layout of the scan.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "parallel.hpp"
#include "scan.hpp"

namespace shoal {

constexpr int64_t kBlock = 768;          // rows of a tile's side: its codes fit the second-level cache
constexpr int32_t kFloor = -(1 << 29) + 1;  // below the score of any two rows, above that of padding
constexpr int32_t kPadding = 1 << 29;

// Rows are referred to by position, 0..count-1, which is not the original order: near rows should have near positions.
// Distances in code units are real distances divided by `unit`.
class Codes {
  public:
    // Allocates `count` rows of `dimensions`, the first `leading` of which are coded in steps of 2 * unit, the others
    // in steps of unit. `stages` holds the ends of the stages in dimensions; the first is `leading`, the last at least
    // `dimensions`. All are multiples of 8.
    Codes(int64_t count, int dimensions, const std::vector<int>& stages, float unit);

    // Encodes rows first..first+rows-1 from their rotated coordinates, (rows, dimensions). `slack` is the error of the
    // coordinates themselves, relative to the row's length.
    void write(int64_t first, int64_t rows, const float* coordinates, float slack);

    // The same rows in another order: the row at position i is that at position order[i].
    Codes reordered(const int32_t* order, int threads) const;

    int64_t count() const { return count_; }
    int64_t padded() const { return padded_; }
    int64_t blocks() const { return (count_ + kBlock - 1) / kBlock; }
    int dimensions() const { return dimensions_; }
    float unit() const { return unit_; }
    const Kernels& version() const { return *version_; }
    const Stages& stages() const { return stages_; }
    // Upper bound of the distance between each row and its code, in code units.
    const std::vector<float>& errors() const { return errors_; }
    // The largest of these up to `most` among positions from..to-1.
    float largest_error(int64_t from, int64_t to, float most = std::numeric_limits<float>::infinity()) const;
    // An error that few rows exceed, and those by far: numbers outside the range of the codes. Comparisons with the
    // largest error of many rows exclude these rows, which are compared with every row instead.
    float common_error() const;
    // Whether the lengths of two rows alone prove that they are more than `distance` apart, in code units.
    bool lengths_apart(int64_t one, int64_t two, double distance) const {
        return lengths_apart(one, *this, two, distance);
    }
    // As above, with a row of `others`, coded in the same frame.
    bool lengths_apart(int64_t one, const Codes& others, int64_t two, double distance) const {
        return length_gap(one, others, two) > distance;
    }
    // Lower bound of the distance of two rows from their lengths, in code units; below 0 if there is none.
    double length_gap(int64_t one, const Codes& others, int64_t two) const {
        const double left = lengths_[one], right = others.lengths_[two];
        return std::abs(left - right) - kLengthSlack * (left + right);
    }

    // Row codes for a scan, [rows / 4][groups][4][4], of positions from..to, multiples of 16.
    void pack(int64_t from, int64_t to, uint8_t* packed) const;
    // A scan of `packed` rows, the first at position `row`, against the panels at `column` (a multiple of 16).
    Scan scan(const uint8_t* packed, int64_t row, int row_count, int64_t column, const int32_t* row_least,
              const int32_t* column_least) const;
    // As above, against the panels of other rows, coded in the same frame.
    Scan scan(const uint8_t* packed, int64_t row, int row_count, const Codes& others, int64_t column,
              const int32_t* row_least, const int32_t* column_least) const;

  private:
    int64_t groups() const { return stages_.groups(); }
    int64_t panel_bytes() const { return groups() * kPanel * kGroup; }
    static constexpr double kLengthSlack = 1e-4;  // upper bound of the rounding error of a length
    void write_row(int64_t place, const float* coordinates, float slack);

    int64_t count_, padded_;
    int dimensions_;
    float unit_;
    const Kernels* version_;
    Stages stages_;
    std::vector<int8_t> panels_;
    std::vector<int32_t> row_half_, column_half_;  // [stage][padded]
    std::vector<float> errors_, lengths_;          // [padded], in code units
};

}  // namespace shoal
