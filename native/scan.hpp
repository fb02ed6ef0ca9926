// The innermost loop: which pairs of rows can be near enough, from their int8 codes.
//
// A code is a row after a rotation, rounded to integers. The squared distance of two codes is exact in int32, and the
// distance of two rows differs from that of their codes by at most the sum of their rounding errors. A scan never
// misses a pair if the caller widens the thresholds by those errors.
//
// The rotation concentrates the variance in the first dimensions, and the scan works in stages: after each, the
// distance over the dimensions so far is a lower bound, and a tile without a pair that can still be near enough is
// skipped.
#pragma once

#include <cstdint>

namespace shoal {

constexpr int kPanel = 16;      // codes side by side in a panel
constexpr int kGroup = 4;       // dimensions whose bytes are contiguous
constexpr int kTileRows = 4;    // rows that share the registers of a tile
constexpr int kMostStages = 8;
constexpr int kMostLevels = 8;

struct Hit {
    int32_t row;    // within the scan's rows
    int32_t column; // within the scan's panels
    int32_t score;  // minus half the squared distance of the two codes, at most 1 above it
};

struct Stages {
    int count = 0;
    int end[kMostStages] = {};  // groups of dimensions up to the end of each stage; even
    int shift = 0;              // the first stage's products count 2^shift times
    int groups() const { return end[count - 1]; }
};

struct Scan {
    const Stages* stages;
    const uint8_t* rows;        // [row_count / 4][groups][4][4], each value + Kernels::offset
    int row_count;              // a multiple of kTileRows
    const int8_t* panels;       // [panel_count][groups][16][4]
    int panel_count;
    // Half the squared length of each code over the stages so far, rounded down: [stage][...]. Those of the columns are
    // corrected for the offset of the rows.
    const int32_t* row_half;
    int64_t row_half_stride;
    const int32_t* column_half;
    int64_t column_half_stride;
    // A pair is a hit if its score is at least the smaller of its two thresholds.
    const int32_t* row_least;
    const int32_t* column_least;
};

// A scan of selected rows against one lot of panels that also reports how far beyond the thresholds they have no pair.
struct Probe {
    Scan scan;              // its rows are contiguous here: [row][groups][4]
    const int32_t* listed;  // which of the rows
    int listed_count;       // a multiple of kTileRows; a row may be listed twice to pad it
    // Lower thresholds of the rows, [level][row], decreasing from level to level.
    const int32_t* wider;
    int64_t wider_stride;
    int levels;      // at most kMostLevels
    int sought;      // rows without a pair at this level are skipped early, 0 for the thresholds themselves
    uint8_t* tile;   // buffer for kTileRows rows
    uint8_t* clear;  // of each kTileRows rows listed: 0 if there are hits, else 1 + the levels at which there were none
};

// The loops specific to one instruction set.
struct Kernels {
    const char* name;
    int levels;         // codes lie in -levels..levels
    int offset;         // added to the values of the rows
    int panels_a_call;  // at most this many panels in a scan
    // Writes the hits, at most row_count * 16 * panel_count, and returns their number.
    int (*scan)(const Scan&, Hit*);
    // As `scan`, for a Probe, whose panel_count is panels_a_call.
    int (*probe)(const Probe&, Hit*);
    // Squared distance in float64: eight sums of every eighth dimension, then ((0+4)+(2+6)) + ((1+5)+(3+7)). The order
    // is part of the result, so that all instruction sets and the NumPy reference give the same bits.
    double (*square_distance)(const float*, const float*, int64_t);
};

extern const Kernels kPortable;
#if defined(SHOAL_X86)
extern const Kernels kAvx2;
extern const Kernels kVnni;
#endif
#if defined(SHOAL_NEON)
extern const Kernels kNeon;
#endif

}  // namespace shoal
