// Which version of the kernels runs on this processor.
#pragma once

#include <string_view>
#include <vector>

#include "scan.hpp"

namespace shoal {

// The versions that this processor runs, the fastest first, kPortable last.
const std::vector<const Kernels*>& available_kernels();

// The version that is used: the fastest, unless another was chosen. Codes keep the version they were made for.
const Kernels& kernels();

// Has the version of this name used from now on; false where the processor does not run it.
bool use_kernels(std::string_view name);

}  // namespace shoal
