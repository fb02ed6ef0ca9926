#include "joining_edges.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "scan_room.hpp"

namespace shoal {
namespace {

class Boruvka {
  public:
    Boruvka(const Codes& codes, const Rows& rows, const int32_t* rank, const double* core, const int32_t* component,
            int32_t components)
        : codes_(codes), rows_(rows), rank_(rank), core_(core), component_(component), largest_(components - 1),
          best_(components), bound_(components), common_error_(codes.common_error()) {
        for (auto& edge : best_) edge.weight = edge.length = std::numeric_limits<double>::infinity();
        for (auto& bound : bound_) bound.store(std::numeric_limits<double>::infinity());
        for (int64_t block = 0; block < codes.blocks(); ++block)
            error_.push_back(codes.largest_error(block * kBlock, (block + 1) * kBlock, common_error_));
    }

    void look(int64_t first, int64_t second);
    bool needed(int64_t first, int64_t second) const;
    std::vector<JoiningEdge> take() { return std::move(best_); }

  private:
    // The distance above which an edge of the row's component is useless; negative if none can be useful.
    double reach(int64_t place) const {
        if (place >= codes_.count() || component_[place] == largest_) return -1.0;
        const double bound = bound_[component_[place]].load(std::memory_order_relaxed);
        return core_[place] <= bound ? bound : -1.0;
    }

    void thresholds(int64_t from, int64_t to, float other_error, int32_t* least) const;
    void consider(int64_t left, int64_t right, int32_t score);
    void improve(int32_t component, const JoiningEdge& edge);
    bool lighter(const JoiningEdge& one, const JoiningEdge& two) const;

    const Codes& codes_;
    const Rows& rows_;
    const int32_t* rank_;
    const double* core_;
    const int32_t* component_;
    const int32_t largest_;
    std::vector<float> error_;
    std::mutex mutex_;
    std::vector<JoiningEdge> best_;
    std::vector<std::atomic<double>> bound_;
    const float common_error_;
};

bool Boruvka::needed(int64_t first, int64_t second) const {
    const int64_t last = std::min((second + 1) * kBlock, codes_.count()) - 1;
    return component_[first * kBlock] != component_[last] && component_[first * kBlock] != largest_;
}

void Boruvka::thresholds(int64_t from, int64_t to, float other_error, int32_t* least) const {
    for (int64_t place = from; place < to; ++place) {
        if (place < codes_.count() && codes_.errors()[place] > common_error_) {
            least[place - from] = kFloor;
            continue;
        }
        const double distance = reach(place);
        least[place - from] =
            distance < 0 ? kNever : least_score(distance / codes_.unit() + codes_.errors()[place] + other_error);
    }
}

bool Boruvka::lighter(const JoiningEdge& one, const JoiningEdge& two) const {
    if (one.weight != two.weight) return one.weight < two.weight;
    if (one.length != two.length) return one.length < two.length;
    if (two.left < 0) return true;
    const auto ends = [&](const JoiningEdge& edge) {
        return std::minmax({rank_[edge.left], rank_[edge.right]});
    };
    return ends(one) < ends(two);
}

void Boruvka::improve(int32_t component, const JoiningEdge& edge) {
    if (component == largest_) return;
    std::lock_guard<std::mutex> lock(mutex_);
    if (!lighter(edge, best_[component])) return;
    best_[component] = edge;
    bound_[component].store(edge.weight, std::memory_order_relaxed);
}

void Boruvka::consider(int64_t left, int64_t right, int32_t score) {
    if (component_[left] == component_[right]) return;
    const double distance = std::max(reach(left), reach(right));
    const auto& errors = codes_.errors();
    if (distance < 0 || score < least_score(distance / codes_.unit() + errors[left] + errors[right])) return;
    const double higher = std::max(core_[left], core_[right]);
    if (higher > distance || codes_.lengths_apart(left, right, distance / codes_.unit())) return;
    const double length =
        std::sqrt(codes_.version().square_distance(rows_.at(left), rows_.at(right), rows_.dimensions));
    if (length > distance) return;
    const JoiningEdge edge{int32_t(left), int32_t(right), std::max(length, higher), length};
    improve(component_[left], edge);
    improve(component_[right], edge);
}

void Boruvka::look(int64_t first, int64_t second) {
    ScanRoom& own = ScanRoom::of_thread();
    const int64_t row = first * kBlock, column = second * kBlock;
    const int64_t row_end = own.open(codes_, first), end = std::min(column + kBlock, codes_.padded());
    const int panels = codes_.version().panels_a_call, step = panels * kPanel;
    for (int64_t at = column; at < end; at += step) {
        // Recomputed for each panel: bounds fall fast in the beginning.
        thresholds(row, row_end, error_[second], own.row_least.data());
        thresholds(at, at + step, error_[first], own.column_least.data());
        const int count = codes_.version().scan(
            codes_.scan(own.packed.data(), row, int(row_end - row), at, own.row_least.data(), own.column_least.data()),
            own.hits.data());
        for (int hit = 0; hit < count; ++hit) {
            const int64_t left = row + own.hits[hit].row, right = at + own.hits[hit].column;
            if (left < right) consider(left, right, own.hits[hit].score);
        }
    }
}

}  // namespace

std::vector<JoiningEdge> joining_edges(
    const Codes& codes, const Rows& rows, const int32_t* rank, const double* core, const int32_t* component,
    int32_t components, const Control& control) {
    Boruvka search(codes, rows, rank, core, component, components);
    std::vector<std::pair<int32_t, int32_t>> pairs;
    for (int64_t gap = 0; gap < codes.blocks(); ++gap)
        for (int64_t first = 0; first + gap < codes.blocks(); ++first)
            if (search.needed(first, first + gap)) pairs.push_back({int32_t(first), int32_t(first + gap)});
    parallel_for(int64_t(pairs.size()), control, [&](int64_t at, int) {
        search.look(pairs[at].first, pairs[at].second);
    });
    return search.take();
}

}  // namespace shoal
