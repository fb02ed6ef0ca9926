#include "communities.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "mixing.hpp"

namespace shoal {
namespace {

constexpr int64_t kAhead = 4;  // vertices to prefetch edges for
constexpr double kLeastGain = 1e-12;  // moves that gain less are rounding
constexpr int64_t kStretch = 16384;   // vertices per block
constexpr int64_t kSweeps = 2;        // average visits per vertex
constexpr double kInside = 0.5;       // fraction of a vertex's weight that must lie inside its block
constexpr double kShrunk = 0.9;       // merging continues while it leaves less than this fraction of the groups
constexpr int64_t kFewGroups = 4096;  // maximum number of groups that layers start from

// A graph with its strengths: the sums of the weights at each vertex, including those inside a contracted vertex.
struct Graph {
    GraphView view{};
    std::vector<double> strength;
    double total = 0;
    std::vector<int64_t> start;
    std::vector<int32_t> to;
    std::vector<float> weight;
    int64_t count() const { return view.count; }
};

using Labels = std::vector<int32_t>;

// Renumbers labels by first vertex; returns how many there are.
int32_t renumber(Labels& labels) {
    Labels number(labels.size(), -1);
    int32_t next = 0;
    for (int32_t& label : labels) {
        if (number[label] < 0) number[label] = next++;
        label = number[label];
    }
    return next;
}

Labels shuffled(int64_t count, uint64_t seed) {
    Labels order(count);
    std::iota(order.begin(), order.end(), 0);
    uint64_t state = seed;
    for (int64_t left = count; left > 1; --left) {
        state += kMixingStep;
        std::swap(order[left - 1], order[mixed(state) % uint64_t(left)]);
    }
    return order;
}

// One graph, one resolution: the two steps of Leiden. `toward` holds the weight from a vertex to each community.
class Steps {
  public:
    Steps(const Graph& graph, double resolution) : graph_(graph), rate_(resolution / std::max(graph.total, 1e-300)),
        toward_(graph.count(), 0.0) {}

    void move(Labels& labels, uint64_t seed, int64_t visits = std::numeric_limits<int64_t>::max());
    Labels refine(const Labels& labels, uint64_t seed);

  private:
    void hear(int32_t v, const Labels& labels);
    void forget() {
        for (int32_t community : heard_) toward_[community] = 0;
        heard_.clear();
    }

    const Graph& graph_;
    const double rate_;
    std::vector<double> toward_;
    std::vector<int32_t> heard_;
};

void Steps::hear(int32_t v, const Labels& labels) {
    const GraphView& view = graph_.view;
    for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at) {
        const int32_t community = labels[view.to[at]];
        if (toward_[community] == 0) heard_.push_back(community);
        toward_[community] += view.weight[at];
    }
}

// Moves single vertices while that improves the quality, revisiting those whose neighbours moved, with at most `visits`
// visits.
void Steps::move(Labels& labels, uint64_t seed, int64_t visits) {
    const int64_t count = graph_.count();
    const GraphView& view = graph_.view;
    std::vector<double> held(count, 0.0);
    std::vector<int32_t> sizes(count, 0), empty;
    for (int64_t v = 0; v < count; ++v) {
        held[labels[v]] += graph_.strength[v];
        ++sizes[labels[v]];
    }
    for (int64_t community = count; community-- > 0;)
        if (sizes[community] == 0) empty.push_back(int32_t(community));
    Labels queue = shuffled(count, seed);
    std::vector<uint8_t> waiting(count, 1);
    int64_t head = 0, length = count;
    while (length > 0 && visits-- > 0) {
        const int32_t v = queue[head];
        head = head + 1 == count ? 0 : head + 1;
        --length;
        waiting[v] = 0;
        if (length > kAhead) {
            int64_t soon = head + kAhead;
            soon = view.start[queue[soon >= count ? soon - count : soon]];
            __builtin_prefetch(view.to + soon);
            __builtin_prefetch(view.to + soon + 16);
            __builtin_prefetch(view.weight + soon);
            __builtin_prefetch(view.weight + soon + 16);
        }
        const int32_t own = labels[v];
        const double strength = graph_.strength[v], price = rate_ * strength;
        hear(v, labels);
        held[own] -= strength;
        int32_t best = own;
        double gain = toward_[own] - price * held[own];
        for (int32_t community : heard_) {
            const double here = toward_[community] - price * held[community];
            if (here > gain + kLeastGain) gain = here, best = community;
        }
        if (gain < -kLeastGain && sizes[own] > 1) best = empty.back();
        forget();
        held[best] += strength;
        if (best == own) continue;
        if (sizes[best]++ == 0) empty.pop_back();
        if (--sizes[own] == 0) empty.push_back(own);
        labels[v] = best;
        for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at) {
            const int32_t other = view.to[at];
            if (waiting[other] || labels[other] == best) continue;
            waiting[other] = 1;
            int64_t tail = head + length;
            queue[tail >= count ? tail - count : tail] = other;
            ++length;
        }
    }
}

// Parts of each community that stay together: single vertices join the part with the largest gain, if both are well
// connected to the rest of the community.
Labels Steps::refine(const Labels& labels, uint64_t seed) {
    const int64_t count = graph_.count();
    const GraphView& view = graph_.view;
    std::vector<double> whole(count, 0.0), held(graph_.strength), rest(count, 0.0);
    std::vector<int32_t> sizes(count, 1);
    for (int64_t v = 0; v < count; ++v) whole[labels[v]] += graph_.strength[v];
    for (int64_t v = 0; v < count; ++v)
        for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at)
            if (labels[view.to[at]] == labels[v]) rest[v] += view.weight[at];
    Labels part(count);
    std::iota(part.begin(), part.end(), 0);
    for (int32_t v : shuffled(count, seed)) {
        const double strength = graph_.strength[v], all = whole[labels[v]];
        if (sizes[part[v]] > 1 || rest[v] < rate_ * strength * (all - strength)) continue;
        for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at) {
            if (labels[view.to[at]] != labels[v]) continue;
            const int32_t community = part[view.to[at]];
            if (toward_[community] == 0) heard_.push_back(community);
            toward_[community] += view.weight[at];
        }
        int32_t best = part[v];
        double gain = 0;
        for (int32_t community : heard_) {
            if (rest[community] < rate_ * held[community] * (all - held[community])) continue;
            const double here = toward_[community] - rate_ * strength * held[community];
            if (here > gain + kLeastGain) gain = here, best = community;
        }
        if (best != part[v]) {
            sizes[part[v]] = 0;
            ++sizes[best];
            rest[best] += rest[v] - 2 * toward_[best];
            held[best] += strength;
            part[v] = best;
        }
        forget();
    }
    return part;
}

// The vertices of each part, those of part p at members[first[p]..first[p + 1]).
struct Members {
    std::vector<int64_t> first;
    Labels members;

    Members(const int32_t* part, int64_t count, int32_t parts) : first(parts + 1, 0), members(count) {
        for (int64_t v = 0; v < count; ++v) ++first[part[v] + 1];
        std::partial_sum(first.begin(), first.end(), first.begin());
        std::vector<int64_t> next(first.begin(), first.end() - 1);
        for (int64_t v = 0; v < count; ++v) members[next[part[v]]++] = int32_t(v);
    }
};

struct Toward {
    std::vector<double> weight;
    Labels heard;
};

// The weights from the members of one part to other parts, summed, in order of encounter; the caller resets them.
void hear_part(const GraphView& view, const int32_t* part, const int32_t* within, const Members& of, int32_t own,
               Toward& toward) {
    for (int64_t place = of.first[own]; place < of.first[own + 1]; ++place) {
        const int32_t v = of.members[place];
        for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at) {
            const int32_t other = part[view.to[at]];
            if (other == own || (within != nullptr && within[view.to[at]] != within[v])) continue;
            if (toward.weight[other] == 0) toward.heard.push_back(other);
            toward.weight[other] += view.weight[at];
        }
    }
}

// The graph between the parts, 0..parts-1.
OwnedGraph between(const GraphView& view, const int32_t* part, const int32_t* within, int32_t parts, bool ascending,
                   const Control& control) {
    const Members of(part, view.count, parts);
    const int64_t stretch = 256, pieces = (parts + stretch - 1) / stretch;
    std::vector<OwnedGraph> found(pieces);
    std::vector<Toward> scratch(std::max(control.threads, 1));
    parallel_for(pieces, control, [&](int64_t piece, int thread) {
        Toward& toward = scratch[thread];
        toward.weight.resize(parts, 0.0);
        OwnedGraph& graph = found[piece];
        for (int64_t own = piece * stretch; own < std::min<int64_t>((piece + 1) * stretch, parts); ++own) {
            hear_part(view, part, within, of, int32_t(own), toward);
            if (ascending) std::sort(toward.heard.begin(), toward.heard.end());
            for (int32_t other : toward.heard) {
                graph.to.push_back(other);
                graph.weight.push_back(float(toward.weight[other]));
                toward.weight[other] = 0;
            }
            toward.heard.clear();
            graph.start.push_back(int64_t(graph.to.size()));
        }
    });
    OwnedGraph all;
    all.start.assign(1, 0);
    for (OwnedGraph& graph : found) {
        const int64_t before = int64_t(all.to.size());
        for (int64_t end : graph.start) all.start.push_back(before + end);
        all.to.insert(all.to.end(), graph.to.begin(), graph.to.end());
        all.weight.insert(all.weight.end(), graph.weight.begin(), graph.weight.end());
        graph = OwnedGraph();
    }
    return all;
}

Graph joined(const Graph& graph, const int32_t* part, int32_t parts, const int32_t* within, const Control& control) {
    OwnedGraph found = between(graph.view, part, within, parts, false, control);
    Graph small;
    small.total = graph.total;
    small.strength.assign(parts, 0.0);
    for (int64_t v = 0; v < graph.count(); ++v) small.strength[part[v]] += graph.strength[v];
    small.start = std::move(found.start);
    small.to = std::move(found.to);
    small.weight = std::move(found.weight);
    small.view = {parts, small.start.data(), small.to.data(), small.weight.data()};
    return small;
}

Graph joined(const Graph& graph, const Labels& part, int32_t parts) {
    return joined(graph, part.data(), parts, nullptr, Control());
}

// `labels` of vertices from those of the parts they belong to.
Labels spread(const Labels& part, const Labels& labels) {
    Labels found(part.size());
    for (size_t v = 0; v < part.size(); ++v) found[v] = labels[part[v]];
    return found;
}

// One iteration of Leiden: moves, refines and contracts until nothing moves. `labels` is both start and result.
void iterate(const Graph& graph, double resolution, uint64_t seed, Labels& labels) {
    Steps steps(graph, resolution);
    steps.move(labels, mixed(seed));
    if (renumber(labels) == graph.count()) return;
    Labels part = steps.refine(labels, mixed(seed + 1));
    const int32_t parts = renumber(part);
    if (parts == graph.count()) return;
    const Graph small = joined(graph, part, parts);
    Labels own(parts);
    for (size_t v = 0; v < part.size(); ++v) own[part[v]] = labels[v];
    iterate(small, resolution, seed + 2, own);
    labels = spread(part, own);
    renumber(labels);
}

Graph outermost(const GraphView& view, const Expectation& expected) {
    Graph graph;
    graph.view = view;
    graph.strength.assign(expected.strength, expected.strength + view.count);
    graph.total = expected.total;
    return graph;
}

Labels single_vertices(int64_t count) {
    Labels labels(count);
    std::iota(labels.begin(), labels.end(), 0);
    return labels;
}

// The small groups that stay together at a resolution: two sweeps of moves, refined. Returns how many.
int32_t group(const Graph& graph, double resolution, uint64_t seed, Labels& part) {
    Steps steps(graph, resolution);
    part = single_vertices(graph.count());
    steps.move(part, mixed(seed ^ 0x5851F42D4C957F2Dull), kSweeps * graph.count());
    renumber(part);
    part = steps.refine(part, mixed(seed ^ 0x14057B7EF767814Full));
    return renumber(part);
}

// Vertices from..to with the edges between them.
Graph stretch_of(const Graph& graph, int64_t from, int64_t to) {
    const GraphView& view = graph.view;
    Graph own;
    own.total = graph.total;
    own.strength.assign(graph.strength.begin() + from, graph.strength.begin() + to);
    own.start.assign(1, 0);
    for (int64_t v = from; v < to; ++v) {
        for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at) {
            if (view.to[at] < from || view.to[at] >= to) continue;
            own.to.push_back(int32_t(view.to[at] - from));
            own.weight.push_back(view.weight[at]);
        }
        own.start.push_back(int64_t(own.to.size()));
    }
    own.view = {to - from, own.start.data(), own.to.data(), own.weight.data()};
    return own;
}

// Groups of one block; vertices with less than half their weight inside it stay single.
Labels group_stretch(const Graph& graph, int64_t from, int64_t to, double resolution) {
    const Graph own = stretch_of(graph, from, to);
    Labels part;
    int32_t parts = group(own, resolution, 0, part);
    for (int64_t v = 0; v < own.count(); ++v) {
        double inside = 0.0;
        for (int64_t at = own.start[v]; at < own.start[v + 1]; ++at) inside += double(own.weight[at]);
        if (inside < kInside * own.strength[v]) part[v] = parts++;
    }
    return part;
}

// Groups of the whole graph, block by block. Returns how many.
int32_t group_stretches(const Graph& graph, double resolution, const Control& control, Labels& part) {
    part.assign(graph.count(), 0);
    const int64_t count = (graph.count() + kStretch - 1) / kStretch;
    parallel_for(count, control, [&](int64_t number, int) {
        const int64_t from = number * kStretch, to = std::min(from + kStretch, graph.count());
        const Labels own = group_stretch(graph, from, to, resolution);
        // Distinct across blocks: a block has at most as many groups as twice its vertices.
        for (int64_t v = from; v < to; ++v) part[v] = int32_t(number) << 16 | own[v - from];
    });
    Labels number(count << 16, -1);
    int32_t next = 0;
    for (int32_t& label : part) {
        if (number[label] < 0) number[label] = next++;
        label = number[label];
    }
    return next;
}

// Merges groups of groups while there are more than `most`.
int32_t join_groups(Graph graph, double resolution, int64_t most, Labels& part, const Control& control) {
    int32_t parts = int32_t(graph.count());
    while (parts > most) {
        Labels own;
        const int32_t fewer = group(graph, resolution, 0, own);
        if (fewer > kShrunk * parts) break;
        part = spread(part, own);
        Graph small = joined(graph, own.data(), fewer, nullptr, control);
        graph = std::move(small);
        parts = fewer;
    }
    return parts;
}

int32_t most_of(const int32_t* labels, int64_t count) {
    return count == 0 ? 0 : *std::max_element(labels, labels + count) + 1;
}

// The graph after the given constraints are applied.
Graph start_of(const Graph& graph, const Given& given, Labels& part, const Control& control) {
    part = single_vertices(graph.count());
    if (given.groups != nullptr) part.assign(given.groups, given.groups + graph.count());
    return joined(graph, part.data(), most_of(part.data(), graph.count()), given.within, control);
}

}  // namespace

int32_t groups_of_vertices(const GraphView& view, const Expectation& expected, double resolution, int64_t most,
                           const Control& control, int32_t* labels) {
    if (view.count == 0) return 0;
    const Graph graph = outermost(view, expected);
    Labels part;
    int32_t parts = group_stretches(graph, resolution, control.part(0, 0.6), part);
    if (parts > most)
        parts = join_groups(joined(graph, part.data(), parts, nullptr, control.part(0.6, 0.8)), resolution, most, part,
                            control.part(0.8, 1));
    renumber(part);
    std::copy(part.begin(), part.end(), labels);
    return parts;
}

void layers_of_communities(const GraphView& view, const Expectation& expected, const Given& given,
                           const double* resolutions, int64_t resolution_count, uint64_t seed, const Control& control,
                           int32_t* labels) {
    if (view.count == 0 || resolution_count == 0) return;
    const double largest = *std::max_element(resolutions, resolutions + resolution_count);
    Graph small;
    Labels part;
    {
        const Graph graph = outermost(view, expected);
        Graph start = start_of(graph, given, part, control.part(0, 0.2));
        Labels own = single_vertices(start.count());
        const int32_t parts = join_groups(start, largest, kFewGroups, own, control.part(0.2, 0.3));
        part = spread(part, own);
        small = joined(start, own.data(), parts, nullptr, control.part(0.3, 0.4));
    }
    parallel_for(resolution_count, control.part(0.4, 1), [&](int64_t number, int) {
        Labels own = single_vertices(small.count());
        iterate(small, resolutions[number], mixed(seed), own);
        Labels found = spread(part, own);
        renumber(found);
        std::copy(found.begin(), found.end(), labels + number * view.count);
    });
}

void runs_of_communities(const GraphView& view, const Expectation& expected, const Given& given, double resolution,
                         const uint64_t* seeds, int64_t seed_count, int rounds, const Control& control,
                         int32_t* labels) {
    if (view.count == 0 || seed_count == 0) return;
    const Graph graph = outermost(view, expected);
    Labels part = single_vertices(view.count);
    Graph small;
    const bool as_it_is = given.groups == nullptr && given.within == nullptr;
    if (!as_it_is) small = start_of(graph, given, part, control.part(0, 0.3));
    const Graph& base = as_it_is ? graph : small;
    parallel_for(seed_count, control.part(0.3, 1), [&](int64_t number, int) {
        Labels own = single_vertices(base.count());
        for (int round = 0; round < std::max(rounds, 1); ++round)
            iterate(base, resolution, mixed(seeds[number] + uint64_t(round)), own);
        Labels found = spread(part, own);
        renumber(found);
        std::copy(found.begin(), found.end(), labels + number * view.count);
    });
}

OwnedGraph joined_groups(const GraphView& view, const int32_t* groups, int32_t group_count, const Control& control) {
    return between(view, groups, nullptr, group_count, true, control);
}

void common_groups(const int32_t* labels, int64_t layer_count, int64_t count, int32_t* groups) {
    std::fill(groups, groups + count, 0);
    size_t room = 16;
    while (room < size_t(count) * 2) room *= 2;
    struct Known {
        int32_t group, label, number;
    };
    std::vector<Known> known(room);
    for (int64_t layer = 0; layer < layer_count; ++layer) {
        std::fill(known.begin(), known.end(), Known{-1, -1, -1});
        int32_t next = 0;
        for (int64_t v = 0; v < count; ++v) {
            const int32_t group = groups[v], label = labels[layer * count + v];
            size_t slot = size_t(mixed(uint64_t(uint32_t(group)) << 32 | uint32_t(label))) & (room - 1);
            while (known[slot].number >= 0 && (known[slot].group != group || known[slot].label != label))
                slot = (slot + 1) & (room - 1);
            if (known[slot].number < 0) known[slot] = {group, label, next++};
            groups[v] = known[slot].number;
        }
    }
}

}  // namespace shoal
