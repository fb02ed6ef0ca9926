// Buffers of a thread that scans a block of rows against the panels of another.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "codes.hpp"

namespace shoal {

constexpr int32_t kNever = std::numeric_limits<int32_t>::max();  // a threshold that no score reaches

// Minimum score of a pair at most `distance` apart, in code units.
inline int32_t least_score(double distance) {
    const double least = -0.5 * distance * distance * (1 + 1e-6) - 2.0;
    return least > double(kFloor) ? int32_t(least) : kFloor;
}

struct ScanRoom {
    std::vector<uint8_t> packed;  // the rows of the block
    std::vector<int32_t> row_least = std::vector<int32_t>(kBlock), column_least = std::vector<int32_t>(kBlock);
    std::vector<Hit> hits;  // of one call

    // One per thread, reused between pairs of blocks.
    static ScanRoom& of_thread() {
        static thread_local ScanRoom own;
        return own;
    }

    // Packs the rows of a block, returns the position after the last, a multiple of kPanel.
    int64_t open(const Codes& codes, int64_t block) {
        const int64_t first = block * kBlock, end = std::min(first + kBlock, codes.padded());
        packed.resize(size_t(kBlock) * codes.stages().groups() * kGroup);
        hits.resize(size_t(kBlock) * kPanel * codes.version().panels_a_call);
        codes.pack(first, end, packed.data());
        return end;
    }
};

}  // namespace shoal
