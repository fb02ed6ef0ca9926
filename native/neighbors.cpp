#include "neighbors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>

#include "scan_room.hpp"

namespace shoal {
namespace {

constexpr float kUnbounded = std::numeric_limits<float>::infinity();

constexpr float kUnknown = -1.0f;
constexpr int kSquare = 64;  // a multiple of the widest call's columns
constexpr size_t kMostKept = 1024;  // approximate candidates per row

struct Candidate {
    int32_t place;
    int32_t score;
    double square;  // the squared distance, kUnknown until computed
};

// Candidates of one row so far.
struct Found {
    std::vector<Candidate> candidates;
    uint32_t room = 0;
    float bound = kUnbounded;  // the wanted-th distance is not larger, in code units
};

inline float code_distance(int32_t score) { return std::sqrt(std::max(0.0f, -2.0f * float(score) + 2.0f)); }

class Search {
  public:
    Search(const Codes& codes, const Rows& rows, const int32_t* rank, int wanted, float certainty)
        : codes_(codes), rows_(rows), rank_(rank), errors_(codes.errors()), wanted_(wanted), found_(codes.count()),
          locks_(std::make_unique<std::mutex[]>(codes.blocks())), block_error_(codes.blocks()),
          common_error_(codes.common_error()) {
        for (int64_t block = 0; block < codes.blocks(); ++block)
            block_error_[block] =
                codes.largest_error(block * kBlock, (block + 1) * kBlock, common_error_) * certainty;
        common_error_ *= certainty;
        for (float& error : errors_) error *= certainty;
    }

    void pair_of_blocks(int64_t first, int64_t second);
    int room() const { return 3 * wanted_ + 8; }
    void finish(int64_t place, int32_t* places, double* squares);
    NeighborCounts counts() const { return {hits_.load(), measured_.load()}; }

  private:
    void fetch(const float* values) const {
        for (int64_t at = 0; at < rows_.dimensions; at += 16) __builtin_prefetch(values + at);
    }

    // The minimum score at which a row with a code error up to `other_error` may be nearer than the bound.
    int32_t threshold(int64_t place, float other_error) const {
        if (errors_[place] > common_error_) return kFloor;
        return least_score(found_[place].bound + errors_[place] + other_error);
    }

    void thresholds(int64_t block, int64_t other, std::vector<int32_t>& least);
    void give(int64_t place, int32_t other, int32_t score);
    void tighten(int64_t place);
    void settle(int64_t place);
    double measure(int64_t place, Candidate& candidate);
    void deliver(const Hit* hits, int count, int64_t row, int64_t column, bool to_rows, float other_error, int32_t* least);
    void compare(int64_t first, int64_t second, int from, int to, int columns_from, int columns_to, ScanRoom& own);

    const Codes& codes_;
    const Rows& rows_;
    const int32_t* rank_;
    std::vector<float> errors_;
    const int wanted_;
    std::vector<Found> found_;
    std::unique_ptr<std::mutex[]> locks_;  // one per block
    std::vector<float> block_error_;  // the largest of a block, excluding those beyond the common error
    float common_error_;
    std::atomic<int64_t> hits_{0}, measured_{0};
};

void Search::thresholds(int64_t block, int64_t other, std::vector<int32_t>& least) {
    std::lock_guard<std::mutex> lock(locks_[block]);
    for (int64_t place = block * kBlock, slot = 0; slot < kBlock; ++place, ++slot)
        least[slot] = place < codes_.count() ? threshold(place, block_error_[other]) : kNever;
}

// Computes the distances of the `wanted` candidates with the best scores; drops those that are certainly farther than
// all of these.
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
    if (candidates.size() > kMostKept + 2 * size_t(wanted_)) settle(place);
}

// Computes all distances and keeps the `wanted` nearest: if codes cannot separate rows, candidates would pile up.
void Search::settle(int64_t place) {
    Found& found = found_[place];
    auto& candidates = found.candidates;
    for (size_t at = 0; at < candidates.size(); ++at) {
        if (at + 2 < candidates.size() && candidates[at + 2].square < 0.0) fetch(rows_.at(candidates[at + 2].place));
        measure(place, candidates[at]);
    }
    const size_t kept = std::min<size_t>(wanted_, candidates.size());
    std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.end(),
                      [&](const Candidate& one, const Candidate& two) {
                          return one.square != two.square ? one.square < two.square
                                                          : rank_[one.place] < rank_[two.place];
                      });
    candidates.resize(kept);
    if (kept == size_t(wanted_))
        found.bound = std::min(found.bound, float(std::sqrt(candidates.back().square) / codes_.unit()) * (1 + 1e-6f));
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
    if (found.bound < kUnbounded) {
        if (score < least_score(found.bound + errors_[place] + errors_[other])) return;
        if (errors_[other] > common_error_ && codes_.lengths_apart(place, other, found.bound)) return;
    }
    if (found.room == 0) {
        found.room = uint32_t(room());
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
                threshold(place, other_error);
    }
}

// A block paired with itself starts with squares along the diagonal, each just large enough to give all its rows a
// bound: without one, every pair of the block would be a hit.
void Search::pair_of_blocks(int64_t first, int64_t second) {
    ScanRoom& own = ScanRoom::of_thread();
    const int rows = int(own.open(codes_, first) - first * kBlock);
    const int columns = int(std::min(kBlock, codes_.padded() - second * kBlock));
    thresholds(first, second, own.row_least);
    if (first != second) {
        thresholds(second, first, own.column_least);
        compare(first, second, 0, rows, 0, columns, own);
        return;
    }
    const int side = (room() + kSquare) / kSquare * kSquare;
    own.column_least = own.row_least;
    for (int from = 0; from < rows; from += side)
        compare(first, second, from, std::min(from + side, rows), from, std::min(from + side, rows), own);
    thresholds(first, second, own.row_least);
    own.column_least = own.row_least;
    for (int from = side; from < rows; from += side)
        compare(first, second, 0, from, from, std::min(from + side, rows), own);
}

// Rows from..to of the first block against the columns of the second; within a block each pair once.
void Search::compare(int64_t first, int64_t second, int from, int to, int columns_from, int columns_to, ScanRoom& own) {
    const int64_t row = first * kBlock + from, column = second * kBlock;
    const uint8_t* packed = own.packed.data() + int64_t(from) * codes_.stages().groups() * kGroup;
    const int width = codes_.version().panels_a_call * kPanel;
    int64_t total = 0;
    for (int at = columns_from; at < columns_to; at += width) {
        const int end = first == second ? std::min(to, at + width) : to;
        int count = codes_.version().scan(
            codes_.scan(packed, row, end - from, column + at, own.row_least.data() + from, own.column_least.data() + at),
            own.hits.data());
        if (first == second)
            count = int(std::remove_if(own.hits.begin(), own.hits.begin() + count,
                                       [&](const Hit& hit) { return from + hit.row >= at + hit.column; }) -
                        own.hits.begin());
        if (count == 0) continue;
        total += count;
        {
            std::lock_guard<std::mutex> lock(locks_[first]);
            deliver(own.hits.data(), count, row, column + at, true, block_error_[second], own.row_least.data() + from);
        }
        std::lock_guard<std::mutex> lock(locks_[second]);
        deliver(own.hits.data(), count, row, column + at, false, block_error_[first], own.column_least.data());
    }
    hits_ += total;
}

void Search::finish(int64_t place, int32_t* places, double* squares) {
    tighten(place);
    settle(place);
    std::vector<Candidate> nearest;
    nearest.swap(found_[place].candidates);
    for (size_t at = 0; at < size_t(wanted_); ++at) {
        places[at] = at < nearest.size() ? nearest[at].place : -1;
        squares[at] = at < nearest.size() ? nearest[at].square : std::numeric_limits<double>::infinity();
    }
}

}  // namespace

NeighborCounts nearest_rows(
    const Codes& codes, const Rows& rows, const int32_t* rank, int wanted, float certainty, const int32_t* pairs, int64_t pair_count,
    const Control& control, int32_t* places, double* squares) {
    Search search(codes, rows, rank, wanted, certainty);
    parallel_for(pair_count, control.part(0, 0.9), [&](int64_t at, int) {
        search.pair_of_blocks(pairs[2 * at], pairs[2 * at + 1]);
    });
    parallel_for((codes.count() + 63) / 64, control.part(0.9, 1), [&](int64_t part, int) {
        for (int64_t place = part * 64; place < std::min((part + 1) * 64, codes.count()); ++place)
            search.finish(place, places + place * wanted, squares + place * wanted);
    });
    return search.counts();
}

}  // namespace shoal
