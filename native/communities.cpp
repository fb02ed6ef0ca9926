#include "communities.hpp"

#include <algorithm>
#include <numeric>

namespace shoal {
namespace {

constexpr int64_t kAhead = 4;  // vertices that edges are fetched ahead for
constexpr double kLeastGain = 1e-12;  // moves that gain less are rounding

uint64_t mixed(uint64_t value) {  // the finaliser of splitmix64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
    return value ^ (value >> 31);
}

// A graph with its strengths: the sums of the weights at each vertex, those inside a joined vertex counted.
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

// Numbers labels in the order of their first vertices; answers how many there are.
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
        state += 0x9E3779B97F4A7C15ull;
        std::swap(order[left - 1], order[mixed(state) % uint64_t(left)]);
    }
    return order;
}

// One graph, one resolution: the two steps of Leiden. `toward` holds the weight from a vertex to each community.
class Steps {
  public:
    Steps(const Graph& graph, double resolution) : graph_(graph), rate_(resolution / std::max(graph.total, 1e-300)),
        toward_(graph.count(), 0.0) {}

    void move(Labels& labels, uint64_t seed);
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

// Moves single vertices while that gains, those whose neighbours moved again.
void Steps::move(Labels& labels, uint64_t seed) {
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
    while (length > 0) {
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

// Parts of each community that hold together: single vertices join the part they gain most by, where both are well
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

// The graph between the parts, 0..parts-1.
Graph joined(const Graph& graph, const Labels& part, int32_t parts) {
    const GraphView& view = graph.view;
    Graph small;
    small.total = graph.total;
    small.strength.assign(parts, 0.0);
    std::vector<int64_t> first(parts + 1, 0);
    for (int32_t own : part) ++first[own + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    Labels members(part.size());
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (size_t v = 0; v < part.size(); ++v) {
        members[next[part[v]]++] = int32_t(v);
        small.strength[part[v]] += graph.strength[v];
    }
    std::vector<double> toward(parts, 0.0);
    Labels heard;
    small.start.assign(1, 0);
    for (int32_t own = 0; own < parts; ++own) {
        for (int64_t place = first[own]; place < first[own + 1]; ++place) {
            const int32_t v = members[place];
            for (int64_t at = view.start[v]; at < view.start[v + 1]; ++at) {
                const int32_t other = part[view.to[at]];
                if (other == own) continue;
                if (toward[other] == 0) heard.push_back(other);
                toward[other] += view.weight[at];
            }
        }
        for (int32_t other : heard) {
            small.to.push_back(other);
            small.weight.push_back(float(toward[other]));
            toward[other] = 0;
        }
        heard.clear();
        small.start.push_back(int64_t(small.to.size()));
    }
    small.view = {parts, small.start.data(), small.to.data(), small.weight.data()};
    return small;
}

// `labels` of vertices from those of the parts they belong to.
Labels spread(const Labels& part, const Labels& labels) {
    Labels found(part.size());
    for (size_t v = 0; v < part.size(); ++v) found[v] = labels[part[v]];
    return found;
}

// One iteration of Leiden: moves, refines and joins until nothing moves. `labels` is where it starts and ends.
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

// The small groups that hold together at a resolution: what one pass of moves makes, refined. Answers how many.
int32_t group(const Graph& graph, double resolution, uint64_t seed, Labels& part) {
    Steps steps(graph, resolution);
    part = single_vertices(graph.count());
    steps.move(part, mixed(seed ^ 0x5851F42D4C957F2Dull));
    renumber(part);
    part = steps.refine(part, mixed(seed ^ 0x14057B7EF767814Full));
    return renumber(part);
}

}  // namespace

void layers_of_communities(const GraphView& view, const Expectation& expected, const double* resolutions,
                           int64_t resolution_count, uint64_t seed, const Control& control, int32_t* labels) {
    if (view.count == 0 || resolution_count == 0) return;
    const Graph graph = outermost(view, expected);
    Labels part;
    const int32_t parts = group(graph, *std::max_element(resolutions, resolutions + resolution_count), seed, part);
    const Graph small = joined(graph, part, parts);
    parallel_for(resolution_count, control, [&](int64_t number, int) {
        Labels own = single_vertices(parts);
        iterate(small, resolutions[number], mixed(seed), own);
        Labels found = spread(part, own);
        renumber(found);
        std::copy(found.begin(), found.end(), labels + number * view.count);
    });
}

void runs_of_communities(const GraphView& view, const Expectation& expected, double resolution, const uint64_t* seeds,
                         int64_t seed_count, int rounds, double grouping, const Control& control, int32_t* labels) {
    if (view.count == 0 || seed_count == 0) return;
    const Graph graph = outermost(view, expected);
    Labels part = single_vertices(view.count);
    Graph small;
    if (grouping > 0) {
        const int32_t parts = group(graph, grouping, 0, part);
        small = joined(graph, part, parts);
    }
    const Graph& base = grouping > 0 ? small : graph;
    parallel_for(seed_count, control, [&](int64_t number, int) {
        Labels own = single_vertices(base.count());
        for (int round = 0; round < std::max(rounds, 1); ++round)
            iterate(base, resolution, mixed(seeds[number] + uint64_t(round)), own);
        Labels found = spread(part, own);
        renumber(found);
        std::copy(found.begin(), found.end(), labels + number * view.count);
    });
}

}  // namespace shoal
