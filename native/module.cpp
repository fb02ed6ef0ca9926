#include <nanobind/nanobind.h>

namespace shoal {

void bind_graph(nanobind::module_&);
void bind_kmeans(nanobind::module_&);
void bind_layout(nanobind::module_&);
void bind_parallel(nanobind::module_&);
void bind_scan(nanobind::module_&);
void bind_tree(nanobind::module_&);

}  // namespace shoal

NB_MODULE(_native, m) {
    shoal::bind_graph(m);
    shoal::bind_kmeans(m);
    shoal::bind_layout(m);
    shoal::bind_parallel(m);
    shoal::bind_scan(m);
    shoal::bind_tree(m);
}
