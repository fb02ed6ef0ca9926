#include "spanning_forest.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <stdexcept>
#include <utility>

namespace shoal {
namespace {

constexpr size_t kRadixPays = 512;  // items from which radix sort is faster
constexpr int kDigitBits = 11;
constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

// An edge between two components that are not connected yet.
struct Open {
    int32_t left, right;
    uint32_t edge;
};

// The least edge out of a component, and the component that it leads to.
struct Least {
    double weight = std::numeric_limits<double>::infinity();
    uint32_t edge = kNone;
    int32_t other = -1;
};

// An edge to be sorted. `key` sorts like the weight (or, among equal weights, like the next criterion); `length` is
// rounded, which avoids most comparisons of the exact one.
struct Item {
    uint64_t key;
    float length;
    uint32_t edge;
    int32_t left, right;
};

// Union-find: links to a member above; a root holds minus the number of members.
class DisjointSets {
public:
    explicit DisjointSets(size_t members) : link_(members, -1) {}

    int32_t find(int32_t member) {
        while (link_[member] >= 0) {
            const int32_t above = link_[member];
            if (link_[above] >= 0) link_[member] = link_[above];
            member = above;
        }
        return member;
    }

    bool unite(int32_t one, int32_t two) {
        one = find(one);
        two = find(two);
        if (one == two) return false;
        if (link_[one] > link_[two]) std::swap(one, two);
        link_[one] += link_[two];
        link_[two] = one;
        return true;
    }

private:
    std::vector<int32_t> link_;
};

// An integer that sorts like the double.
uint64_t ordered_bits(double value) {
    const uint64_t bits = std::bit_cast<uint64_t>(value + 0.0);  // -0 becomes 0
    return bits >> 63 ? ~bits : bits | (uint64_t(1) << 63);
}

// Sorts by two digits of (key - low) >> shift.
void sort_by_digits(std::span<Item> items, uint64_t low, int shift, std::vector<Item>& spare) {
    constexpr uint64_t mask = (uint64_t(1) << kDigitBits) - 1;
    std::array<std::array<uint32_t, mask + 1>, 2> places{};
    for (const Item& item : items) {
        const uint64_t digits = (item.key - low) >> shift;
        ++places[0][digits & mask];
        ++places[1][digits >> kDigitBits];
    }
    for (auto& place : places) {
        uint32_t before = 0;
        for (uint32_t& entry : place) before += std::exchange(entry, before);
    }
    spare.resize(std::max(spare.size(), items.size()));
    for (const Item& item : items) spare[places[0][(item.key - low) >> shift & mask]++] = item;
    for (size_t at = 0; at < items.size(); ++at)
        items[places[1][(spare[at].key - low) >> shift >> kDigitBits]++] = spare[at];
}

template <class Row>
class Forest {
public:
    Forest(const WeightedEdges<Row>& edges, std::span<const uint32_t> rank, const Control& control)
        : edges_(edges), rank_(rank), control_(control), count_(edges.weight.size()), components_(rank.size()) {
        const size_t strips = std::clamp(size_t(std::max(control.threads, 1)), size_t(1), count_ / kRadixPays + 1);
        open_.resize(strips);
        least_.resize(strips);
    }

    std::vector<int64_t> run() {
        first_round();
        while (join()) later_round();
        return in_order();
    }

private:
    enum class Level { weight, length, ranks };

    // Each strip of the edges finds the least edge of each component, on its own thread.
    void first_round() {
        parallel_for(int64_t(open_.size()), control_, [&](int64_t strip, int) {
            const size_t first = count_ * strip / open_.size(), last = count_ * (strip + 1) / open_.size();
            std::vector<Least>& least = least_[strip];
            least.assign(components_, Least{});
            for (size_t edge = first; edge < last; ++edge) {
                const Open open{int32_t(edges_.left[edge]), int32_t(edges_.right[edge]), uint32_t(edge)};
                if (open.left != open.right) offer(open, least);
            }
        });
    }

    // As above, for the edges that are not inside a component yet; the first time they are not stored yet.
    void later_round() {
        parallel_for(int64_t(open_.size()), control_, [&](int64_t strip, int) {
            std::vector<Open>& open = open_[strip];
            std::vector<Least>& least = least_[strip];
            least.assign(components_, Least{});
            if (rounds_ == 1) write_open(strip);
            size_t kept = 0;
            for (Open edge : open) {
                if (rounds_ > 1) edge = {component_[edge.left], component_[edge.right], edge.edge};
                if (edge.left == edge.right) continue;
                open[kept++] = edge;
                offer(edge, least);
            }
            open.resize(kept);
        });
    }

    void write_open(size_t strip) {
        const size_t first = count_ * strip / open_.size(), last = count_ * (strip + 1) / open_.size();
        open_[strip].reserve(last - first);
        for (size_t edge = first; edge < last; ++edge) {
            const int32_t left = component_[edges_.left[edge]], right = component_[edges_.right[edge]];
            if (left != right) open_[strip].push_back({left, right, uint32_t(edge)});
        }
    }

    void offer(const Open& open, std::vector<Least>& least) const {
        const double weight = edges_.weight[open.edge];
        Least &left = least[open.left], &right = least[open.right];
        if (before({weight, open.edge}, left)) left = {weight, open.edge, open.right};
        if (before({weight, open.edge}, right)) right = {weight, open.edge, open.left};
    }

    bool before(const Least& one, const Least& two) const {
        if (one.weight != two.weight) return one.weight < two.weight;
        if (one.edge == kNone || two.edge == kNone) return two.edge == kNone && one.edge != kNone;
        const double length_one = edges_.length[one.edge], length_two = edges_.length[two.edge];
        if (length_one != length_two) return length_one < length_two;
        return less(item(one.edge), item(two.edge));
    }

    // Every component selects its least edge; false if none has one.
    bool join() {
        for (size_t strip = 1; strip < least_.size(); ++strip)
            for (size_t component = 0; component < components_; ++component)
                if (before(least_[strip][component], least_[0][component]))
                    least_[0][component] = least_[strip][component];
        DisjointSets sets(components_);
        const size_t already = chosen_.size();
        for (size_t component = 0; component < components_; ++component) {
            const Least& least = least_[0][component];
            if (least.edge != kNone && sets.unite(int32_t(component), least.other))
                chosen_.push_back(item(least.edge));
        }
        renumber(sets);
        ++rounds_;
        return chosen_.size() > already;
    }

    // component_: the new number of each previous component.
    void renumber(DisjointSets& sets) {
        component_.assign(components_, -1);
        int32_t next = 0;
        for (size_t component = 0; component < components_; ++component) {
            int32_t& number = component_[sets.find(int32_t(component))];
            if (number < 0) number = next++;
            component_[component] = number;
        }
        components_ = size_t(next);
    }

    std::vector<int64_t> in_order() {
        sort(chosen_, Level::weight);
        std::vector<int64_t> places(chosen_.size());
        std::transform(chosen_.begin(), chosen_.end(), places.begin(), [](const Item& item) { return item.edge; });
        return places;
    }

    Item item(uint32_t edge) const {
        return {ordered_bits(edges_.weight[edge]), float(edges_.length[edge]), edge, int32_t(edges_.left[edge]),
                int32_t(edges_.right[edge])};
    }

    // All items are equal in the criteria before `level`, which is what `key` holds.
    void sort(std::span<Item> items, Level level) {
        if (items.size() < kRadixPays) {
            std::sort(items.begin(), items.end(), [this](const Item& one, const Item& two) { return less(one, two); });
            return;
        }
        const auto [least, most] = std::minmax_element(
            items.begin(), items.end(), [](const Item& one, const Item& two) { return one.key < two.key; });
        const uint64_t low = least->key, range = most->key - low;
        if (range == 0) {
            sort_ties(items, level);
            return;
        }
        const int shift = std::max(0, int(std::bit_width(range)) - 2 * kDigitBits);
        sort_by_digits(items, low, shift, spare_);
        for (size_t start = 0, end; start < items.size(); start = end) {
            const uint64_t digits = (items[start].key - low) >> shift;
            for (end = start + 1; end < items.size() && (items[end].key - low) >> shift == digits;) ++end;
            if (end - start > 1) sort(items.subspan(start, end - start), level);
        }
    }

    void sort_ties(std::span<Item> items, Level level) {
        if (level == Level::ranks) {
            std::sort(items.begin(), items.end(),
                      [](const Item& one, const Item& two) { return one.edge < two.edge; });
            return;
        }
        for (Item& item : items)
            item.key = level == Level::weight ? ordered_bits(edges_.length[item.edge]) : ranks(item);
        sort(items, level == Level::weight ? Level::length : Level::ranks);
    }

    bool less(const Item& one, const Item& two) const {
        if (one.key != two.key) return one.key < two.key;
        if (one.length != two.length) return one.length < two.length;
        const double length_one = edges_.length[one.edge], length_two = edges_.length[two.edge];
        if (length_one != length_two) return length_one < length_two;
        return std::pair(ranks(one), one.edge) < std::pair(ranks(two), two.edge);
    }

    uint64_t ranks(const Item& item) const {
        const auto [low, high] = std::minmax(rank_[item.left], rank_[item.right]);
        return uint64_t(low) << 32 | high;
    }

    const WeightedEdges<Row>& edges_;
    std::span<const uint32_t> rank_;
    Control control_;
    size_t count_, components_;
    int rounds_ = 0;
    std::vector<std::vector<Open>> open_;    // of each strip
    std::vector<std::vector<Least>> least_;  // of each strip and component
    std::vector<int32_t> component_;         // what each component of the last round is in this one
    std::vector<Item> chosen_, spare_;
};

}  // namespace

template <class Row>
std::vector<int64_t> spanning_forest(const WeightedEdges<Row>& edges, std::span<const uint32_t> rank,
                                     const Control& control) {
    if (edges.weight.size() >= kNone ||
        rank.size() > size_t(std::numeric_limits<int32_t>::max()))
        throw std::length_error("spanning_forest takes fewer than 2^32 edges over fewer than 2^31 rows");
    return Forest<Row>(edges, rank, control).run();
}

template std::vector<int64_t> spanning_forest(const WeightedEdges<int32_t>&, std::span<const uint32_t>, const Control&);
template std::vector<int64_t> spanning_forest(const WeightedEdges<int64_t>&, std::span<const uint32_t>, const Control&);

}  // namespace shoal
