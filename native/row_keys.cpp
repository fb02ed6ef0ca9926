#include "row_keys.hpp"

#include <cstring>

#include "mixing.hpp"

namespace shoal {
namespace {

constexpr int64_t kRowsAtATime = 1024;

// Numbers of few digits have zeros in their low bits, which a multiplication would preserve.
inline uint64_t spread(float coordinate) {
    const float plain = coordinate + 0.0f;
    uint32_t bits;
    std::memcpy(&bits, &plain, sizeof bits);
    return bits ^ (bits >> 15);
}

}  // namespace

void row_keys(const float* values, int64_t count, int64_t dimensions, const Control& control, uint64_t* keys) {
    std::vector<uint64_t> constants(dimensions);
    for (int64_t at = 0; at < dimensions; ++at) constants[at] = mixed(uint64_t(at + 1) * kMixingStep) | 1u;
    parallel_for((count + kRowsAtATime - 1) / kRowsAtATime, control, [&](int64_t part, int) {
        const int64_t end = std::min((part + 1) * kRowsAtATime, count);
        for (int64_t row = part * kRowsAtATime; row < end; ++row) {
            const float* own = values + row * dimensions;
            uint64_t sum = 0;
            for (int64_t at = 0; at < dimensions; ++at) sum += spread(own[at]) * constants[at];
            keys[row] = mixed(sum);
        }
    });
}

}  // namespace shoal
