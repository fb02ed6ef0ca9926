// HDBSCAN from the edges on: spanning forest, linkage, condensed tree, selection, scores.
#pragma once

namespace nanobind {
class module_;
}

namespace shoal {

void bind_tree(nanobind::module_& m);

}  // namespace shoal
