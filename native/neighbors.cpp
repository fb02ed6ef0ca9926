#include "neighbors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>

namespace shoal {
namespace {

constexpr float kUnbounded = std::numeric_limits<float>::infinity();

constexpr float kUnknown = -1.0f;

struct Candidate {
    int32_t place;
    int32_t score;
    double square;  // the squared distance, kUnknown until it was needed
};

// What the scan has found for one row so far.
struct Found {
    std::vector<Candidate> candidates;
    uint32_t room = 0;
    float bound = kUnbounded;  // the wanted-th distance is not larger, in code units
};

inline float code_distance(int32_t score) { return std::sqrt(std::max(0.0f, -2.0f * float(score) + 2.0f)); }

// The score that a pair within `distance` of each other has at least.
inline int32_t least_score(float distance) {
    const double least = -0.5 * double(distance) * double(distance) * (1 + 1e-6) - 2.0;
    return least > double(kFloor) ? int32_t(least) : kFloor;
}

class Search {
  public:
    Search(const Codes& codes, const Rows& rows, int wanted, float certainty)
        : codes_(codes), rows_(rows), errors_(codes.errors()), wanted_(wanted), found_(codes.count()),
          locks_(std::make_unique<std::mutex[]>(codes.blocks())), block_error_(codes.blocks()) {
        for (float& error : errors_) error *= certainty;
        for (int64_t block = 0; block < codes.blocks(); ++block)
            block_error_[block] = codes.largest_error(block * kBlock, (block + 1) * kBlock) * certainty;
    }

    void pair_of_blocks(int64_t first, int64_t second);
    void finish(int64_t place, const int32_t* rank, int32_t* places, double* squares);
    NeighborCounts counts() const { return {hits_.load(), measured_.load()}; }

  private:
    struct Scratch {
        std::vector<uint8_t> packed;
        std::vector<int32_t> row_least = std::vector<int32_t>(kBlock), column_least = std::vector<int32_t>(kBlock);
        std::vector<Hit> hits;
    };

    void fetch(const float* values) const {
        for (int64_t at = 0; at < rows_.dimensions; at += 16) __builtin_prefetch(values + at);
    }

    static Scratch& scratch() {
        static thread_local Scratch own;
        return own;
    }

    void thresholds(int64_t block, int64_t other, std::vector<int32_t>& least);
    void give(int64_t place, int32_t other, int32_t score);
    void tighten(int64_t place);
    double measure(int64_t place, Candidate& candidate);
    void deliver(const Hit* hits, int count, int64_t row, int64_t column, bool to_rows, float other_error, int32_t* least);

    const Codes& codes_;
    const Rows& rows_;
    std::vector<float> errors_;
    const int wanted_;
    std::vector<Found> found_;
    std::unique_ptr<std::mutex[]> locks_;  // one a block
    std::vector<float> block_error_;
    std::atomic<int64_t> hits_{0}, measured_{0};
};

void Search::thresholds(int64_t block, int64_t other, std::vector<int32_t>& least) {
    std::lock_guard<std::mutex> lock(locks_[block]);
    for (int64_t place = block * kBlock, slot = 0; slot < kBlock; ++place, ++slot)
        least[slot] = place < codes_.count()
                          ? least_score(found_[place].bound + errors_[place] + block_error_[other])
                          : std::numeric_limits<int32_t>::max();
}

// Takes the distance of the wanted candidates with the best scores; whatever is certainly farther than all of them is
// dropped.
void Search::tighten(int64_t place) {
    Found& found = found_[place];
    auto& candidates = found.candidates;
    if (int64_t(candidates.size()) < wanted_) return;
    std::nth_element(
        candidates.begin(), candidates.begin() + wanted_ - 1, candidates.end(),
        [](const Candidate& one, const Candidate& two) { return one.score > two.score; });
    double farthest = 0.0;
    for (int at = 0; at < wanted_; ++at) farthest = std::max(farthest, measure(place, candidates[at]));
    found.bound = std::min(found.bound, float(std::sqrt(farthest) / codes_.unit()) * (1 + 1e-6f));
    const float reach = found.bound + errors_[place];
    std::erase_if(candidates, [&](const Candidate& candidate) {
        return candidate.square >= 0.0 ? candidate.square > farthest
                                       : candidate.score < least_score(reach + errors_[candidate.place]);
    });
}

double Search::measure(int64_t place, Candidate& candidate) {
    if (candidate.square < 0.0) {
        candidate.square =
            codes_.version().square_distance(rows_.at(place), rows_.at(candidate.place), rows_.dimensions);
        ++measured_;
    }
    return candidate.square;
}

void Search::give(int64_t place, int32_t other, int32_t score) {
    Found& found = found_[place];
    if (found.bound < kUnbounded && score < least_score(found.bound + errors_[place] + errors_[other])) return;
    if (found.room == 0) {
        found.room = uint32_t(3 * wanted_ + 8);
        found.candidates.reserve(found.room);
    }
    found.candidates.push_back({other, score, kUnknown});
    if (found.candidates.size() < found.room) return;
    tighten(place);
    found.room = std::max<uint32_t>(found.room, uint32_t(found.candidates.size()) * 2);
}

void Search::deliver(
    const Hit* hits, int count, int64_t row, int64_t column, bool to_rows, float other_error, int32_t* least) {
    for (int at = 0; at < count; ++at) {
        const int64_t own_row = row + hits[at].row, own_column = column + hits[at].column;
        const int64_t place = to_rows ? own_row : own_column, other = to_rows ? own_column : own_row;
        const float before = found_[place].bound;
        give(place, int32_t(other), hits[at].score);
        if (found_[place].bound < before)
            least[place - (to_rows ? row : column / kBlock * kBlock)] =
                least_score(found_[place].bound + errors_[place] + other_error);
    }
}

void Search::pair_of_blocks(int64_t first, int64_t second) {
    Scratch& own = scratch();
    const int64_t row = first * kBlock, column = second * kBlock;
    const int rows = int(std::min(kBlock, codes_.padded() - row)), columns = int(std::min(kBlock, codes_.padded() - column));
    own.packed.resize(size_t(kBlock) * codes_.stages().groups() * kGroup);
    const int panels = codes_.version().panels_a_call;
    own.hits.resize(size_t(kBlock) * kPanel * panels);
    codes_.pack(row, row + rows, own.packed.data());
    thresholds(first, second, own.row_least);
    thresholds(second, first, own.column_least);
    int64_t total = 0;
    for (int at = 0; at < columns; at += panels * kPanel) {
        const int own_rows = first == second ? std::min(rows, at + panels * kPanel) : rows;
        int count = codes_.version().scan(
            codes_.scan(own.packed.data(), row, own_rows, column + at, own.row_least.data(), own.column_least.data() + at),
            own.hits.data());
        if (count == 0) continue;
        if (first == second) {
            const auto end = std::remove_if(
                own.hits.begin(), own.hits.begin() + count, [&](const Hit& hit) { return hit.row >= at + hit.column; });
            count = int(end - own.hits.begin());
        }
        total += count;
        {
            std::lock_guard<std::mutex> lock(locks_[first]);
            deliver(own.hits.data(), count, row, column + at, true, block_error_[second], own.row_least.data());
        }
        std::lock_guard<std::mutex> lock(locks_[second]);
        deliver(own.hits.data(), count, row, column + at, false, block_error_[first], own.column_least.data());
    }
    hits_ += total;
}

void Search::finish(int64_t place, const int32_t* rank, int32_t* places, double* squares) {
    struct Exact {
        double square;
        int32_t rank, place;
    };
    static thread_local std::vector<Exact> exact;
    tighten(place);
    std::vector<Candidate> candidates;
    candidates.swap(found_[place].candidates);
    exact.clear();
    for (size_t at = 0; at < candidates.size(); ++at) {
        if (at + 2 < candidates.size() && candidates[at + 2].square < 0.0) fetch(rows_.at(candidates[at + 2].place));
        const int32_t other = candidates[at].place;
        exact.push_back({measure(place, candidates[at]), rank[other], other});
    }
    const size_t kept = std::min<size_t>(wanted_, exact.size());
    std::partial_sort(exact.begin(), exact.begin() + kept, exact.end(), [](const Exact& one, const Exact& two) {
        return one.square != two.square ? one.square < two.square : one.rank < two.rank;
    });
    for (int at = 0; at < wanted_; ++at) {
        places[at] = at < int(kept) ? exact[at].place : -1;
        squares[at] = at < int(kept) ? exact[at].square : std::numeric_limits<double>::infinity();
    }
}

}  // namespace

NeighborCounts nearest_rows(
    const Codes& codes, const Rows& rows, const int32_t* rank, int wanted, float certainty, const int32_t* pairs, int64_t pair_count,
    const Control& control, int32_t* places, double* squares) {
    Search search(codes, rows, wanted, certainty);
    parallel_for(pair_count, control.part(0, 0.9), [&](int64_t at, int) {
        search.pair_of_blocks(pairs[2 * at], pairs[2 * at + 1]);
    });
    parallel_for((codes.count() + 63) / 64, control.part(0.9, 1), [&](int64_t part, int) {
        for (int64_t place = part * 64; place < std::min((part + 1) * 64, codes.count()); ++place)
            search.finish(place, rank, places + place * wanted, squares + place * wanted);
    });
    return search.counts();
}

}  // namespace shoal
