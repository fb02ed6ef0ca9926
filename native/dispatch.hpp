// Selects the kernels for this processor.
#pragma once

#include <string_view>
#include <vector>

#include "scan.hpp"

namespace shoal {

// The kernels that this processor supports, fastest first, kPortable last.
const std::vector<const Kernels*>& available_kernels();

// The selected kernels: the fastest, unless others were chosen. Existing codes keep theirs.
const Kernels& kernels();

// Selects the kernels of this name from now on; false if the processor does not support them.
bool use_kernels(std::string_view name);

}  // namespace shoal
