// The finaliser of splitmix64 (Steele, Lea and Flood 2014): each bit of the result depends on all bits of the value.
#pragma once

#include <cstdint>

namespace shoal {

constexpr uint64_t kMixingStep = 0x9E3779B97F4A7C15ull;  // between the states of a sequence

inline uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
    return value ^ (value >> 31);
}

}  // namespace shoal
