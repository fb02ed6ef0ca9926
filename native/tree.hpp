// Everything of HDBSCAN that comes after the edges: spanning forest, linkage, condensed tree, selection, scores.
#pragma once

namespace nanobind {
class module_;
}

namespace shoal {

void bind_tree(nanobind::module_& m);

}  // namespace shoal
