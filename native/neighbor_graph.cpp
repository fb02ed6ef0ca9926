#include "neighbor_graph.hpp"

#include <algorithm>
#include <numeric>

namespace shoal {
namespace {

constexpr int64_t kStretch = 2048;  // vertices per piece of work

int64_t stretches(int64_t count) { return (count + kStretch - 1) / kStretch; }

// Calls work(v, thread's scratch) for each vertex, block by block.
template <class Scratch, class Work>
void for_vertices(int64_t count, const Control& control, const Scratch& fresh, Work&& work) {
    std::vector<Scratch> scratch(std::max(control.threads, 1), fresh);
    parallel_for(stretches(count), control, [&](int64_t part, int thread) {
        const int64_t end = std::min((part + 1) * kStretch, count);
        for (int64_t v = part * kStretch; v < end; ++v) work(v, scratch[thread]);
    });
}

struct Edge {
    int32_t to;
    float weight;
};

// The vertices that list each vertex, in order.
struct Incoming {
    std::vector<int64_t> start;
    std::vector<Edge> edges;

    Incoming(const int32_t* to, const float* weight, int64_t count, int64_t near)
        : start(count + 1, 0), edges(count * near) {
        for (int64_t at = 0; at < count * near; ++at) ++start[to[at] + 1];
        std::partial_sum(start.begin(), start.end(), start.begin());
        std::vector<int64_t> next(start.begin(), start.end() - 1);
        for (int64_t v = 0; v < count; ++v)
            for (int64_t at = v * near; at < (v + 1) * near; ++at) edges[next[to[at]]++] = {int32_t(v), weight[at]};
    }
};

struct Merging {
    std::vector<Edge> own, all;
};

// The directed weights of v, ascending, with the reverse weights.
void merge(const int32_t* to, const float* weight, int64_t near, const Edge* in, const Edge* in_end, int32_t v,
           Merging& found) {
    found.own.clear();
    found.all.clear();
    for (int64_t at = 0; at < near; ++at) found.own.push_back({to[at], weight[at]});
    std::sort(found.own.begin(), found.own.end(), [](const Edge& one, const Edge& two) { return one.to < two.to; });
    const auto keep = [&](int32_t other, float value) {
        if (other != v && value != 0) found.all.push_back({other, value});
    };
    for (const Edge& edge : found.own) {
        for (; in != in_end && in->to < edge.to; ++in) keep(in->to, in->weight);
        if (in != in_end && in->to == edge.to) {
            keep(edge.to, (edge.weight + in->weight) - edge.weight * in->weight);
            ++in;
        } else {
            keep(edge.to, edge.weight);
        }
    }
    for (; in != in_end; ++in) keep(in->to, in->weight);
}

// Probabilities of where one step from each vertex ends, by label; row v is at[start[v]..start[v + 1]).
struct Ends {
    std::vector<int64_t> start;
    std::vector<Edge> at;
};

struct Tally {
    std::vector<float> sums;
    std::vector<uint8_t> there;
    std::vector<int32_t> heard;

    explicit Tally(int32_t labels) : sums(labels, 0.0f), there(labels, 0) {}
    void add(int32_t label, float value) {
        if (!there[label]) there[label] = 1, heard.push_back(label);
        sums[label] += value;
    }
    void forget() {
        for (int32_t label : heard) sums[label] = 0.0f, there[label] = 0;
        heard.clear();
    }
};

inline float chance(const GraphView& graph, const double* strength, int64_t v, int64_t at) {
    return float(double(graph.weight[at]) / strength[v]);
}

Ends first_steps(const GraphView& graph, const double* strength, const int32_t* labels, int32_t label_count,
                 const Control& control) {
    const int64_t parts = stretches(graph.count);
    std::vector<std::vector<Edge>> found(parts);
    Ends ends;
    ends.start.assign(graph.count + 1, 0);
    std::vector<Tally> tallies(std::max(control.threads, 1), Tally(label_count));
    parallel_for(parts, control, [&](int64_t part, int thread) {
        Tally& tally = tallies[thread];
        for (int64_t v = part * kStretch; v < std::min((part + 1) * kStretch, graph.count); ++v) {
            for (int64_t at = graph.start[v]; at < graph.start[v + 1]; ++at)
                tally.add(labels[graph.to[at]], chance(graph, strength, v, at));
            for (int32_t label : tally.heard) found[part].push_back({label, tally.sums[label]});
            ends.start[v + 1] = int64_t(tally.heard.size());
            tally.forget();
        }
    });
    std::partial_sum(ends.start.begin(), ends.start.end(), ends.start.begin());
    ends.at.reserve(ends.start.back());
    for (auto& part : found) {
        ends.at.insert(ends.at.end(), part.begin(), part.end());
        std::vector<Edge>().swap(part);
    }
    return ends;
}

}  // namespace

OwnedGraph joined_both_ways(const int32_t* to, const float* weight, int64_t count, int64_t near, const Control& control) {
    const Incoming incoming(to, weight, count, near);
    const int64_t parts = stretches(count);
    std::vector<std::vector<Edge>> found(parts);
    OwnedGraph graph;
    graph.start.assign(count + 1, 0);
    std::vector<Merging> scratch(std::max(control.threads, 1));
    parallel_for(parts, control.part(0, 0.8), [&](int64_t part, int thread) {
        Merging& own = scratch[thread];
        for (int64_t v = part * kStretch; v < std::min((part + 1) * kStretch, count); ++v) {
            merge(to + v * near, weight + v * near, near, incoming.edges.data() + incoming.start[v],
                  incoming.edges.data() + incoming.start[v + 1], int32_t(v), own);
            found[part].insert(found[part].end(), own.all.begin(), own.all.end());
            graph.start[v + 1] = int64_t(own.all.size());
        }
    });
    std::partial_sum(graph.start.begin(), graph.start.end(), graph.start.begin());
    graph.to.resize(graph.start.back());
    graph.weight.resize(graph.start.back());
    parallel_for(parts, control.part(0.8, 1), [&](int64_t part, int) {
        int64_t at = graph.start[part * kStretch];
        for (const Edge& edge : found[part]) graph.to[at] = edge.to, graph.weight[at++] = edge.weight;
        std::vector<Edge>().swap(found[part]);
    });
    return graph;
}

void walk_home(const GraphView& graph, const double* strength, const int32_t* labels, int32_t label_count,
               const Control& control, int32_t* home, float* share) {
    const Ends ends = first_steps(graph, strength, labels, label_count, control.part(0, 0.3));
    for_vertices(graph.count, control.part(0.3, 1), Tally(label_count), [&](int64_t v, Tally& tally) {
        home[v] = labels[v];
        share[v] = 1.0f;
        if (graph.start[v] == graph.start[v + 1]) return;
        for (int64_t at = graph.start[v]; at < graph.start[v + 1]; ++at) {
            const float step = chance(graph, strength, v, at);
            const int64_t other = graph.to[at];
            for (int64_t end = ends.start[other]; end < ends.start[other + 1]; ++end)
                tally.add(ends.at[end].to, step * ends.at[end].weight);
        }
        float most = -1.0f;
        int32_t best = home[v];
        for (int32_t label : tally.heard)
            if (tally.sums[label] > most || (tally.sums[label] == most && label < best))
                most = tally.sums[label], best = label;
        home[v] = best;
        share[v] = std::min(most, 1.0f);
        tally.forget();
    });
}

void weights_within(const GraphView& graph, const int32_t* labels, int64_t layer_count, const Control& control,
                    double* weight, int64_t* edges) {
    parallel_for(layer_count, control, [&](int64_t layer, int) {
        const int32_t* own = labels + layer * graph.count;
        double total = 0.0;
        int64_t counted = 0;
        for (int64_t v = 0; v < graph.count; ++v) {
            double sum = 0.0;
            for (int64_t at = graph.start[v]; at < graph.start[v + 1]; ++at)
                if (own[graph.to[at]] == own[v]) sum += double(graph.weight[at]), ++counted;
            total += sum;
        }
        weight[layer] = total;
        edges[layer] = counted;
    });
}

OwnedGraph agreed_graph(const GraphView& graph, const int32_t* labels, int64_t layer_count, const Control& control,
                        int64_t* together, int64_t* pairs) {
    std::vector<int32_t> by_vertex(graph.count * layer_count);  // compared values are contiguous
    for (int64_t layer = 0; layer < layer_count; ++layer)
        for (int64_t v = 0; v < graph.count; ++v) by_vertex[v * layer_count + layer] = labels[layer * graph.count + v];
    const int64_t parts = stretches(graph.count);
    std::vector<OwnedGraph> found(parts);
    std::vector<int64_t> once(parts, 0), twice(parts, 0);
    parallel_for(parts, control, [&](int64_t part, int) {
        OwnedGraph& own = found[part];
        for (int64_t v = part * kStretch; v < std::min((part + 1) * kStretch, graph.count); ++v) {
            for (int64_t at = graph.start[v]; at < graph.start[v + 1]; ++at) {
                const int32_t* one = by_vertex.data() + v * layer_count;
                const int32_t* two = by_vertex.data() + int64_t(graph.to[at]) * layer_count;
                int64_t same = 0;
                for (int64_t layer = 0; layer < layer_count; ++layer) same += one[layer] == two[layer];
                if (same == 0) continue;
                own.to.push_back(graph.to[at]);
                own.weight.push_back(graph.weight[at] * (float(same) / float(layer_count)));
                once[part] += same;
                twice[part] += same * (same - 1);
            }
            own.start.push_back(int64_t(own.to.size()));
        }
    });
    OwnedGraph all;
    all.start.assign(1, 0);
    for (OwnedGraph& own : found) {
        const int64_t before = int64_t(all.to.size());
        for (int64_t end : own.start) all.start.push_back(before + end);
        all.to.insert(all.to.end(), own.to.begin(), own.to.end());
        all.weight.insert(all.weight.end(), own.weight.begin(), own.weight.end());
        own = OwnedGraph();
    }
    *together = std::accumulate(once.begin(), once.end(), int64_t(0));
    *pairs = std::accumulate(twice.begin(), twice.end(), int64_t(0));
    return all;
}

}  // namespace shoal
