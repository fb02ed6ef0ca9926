#include "close_pairs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "scan_room.hpp"

namespace shoal {
namespace {

constexpr int64_t kFirstStretch = 8, kLongestStretch = 256;  // pairs of blocks

class Pass {
  public:
    Pass(const Codes& codes, const Rows& rows, const double* gaps, const double* core)
        : codes_(codes), rows_(rows), gaps_(gaps), core_(core), widest_(codes.blocks()), error_(codes.blocks()),
          common_error_(codes.common_error()) {
        for (int64_t block = 0; block < codes.blocks(); ++block) {
            const int64_t from = block * kBlock, to = std::min(from + kBlock, codes.count());
            error_[block] = codes.largest_error(from, to, common_error_);
            for (int64_t place = from; place < std::min(to, codes.count() - 1); ++place)
                widest_[block] = std::max(widest_[block], gaps[place]);
        }
    }

    // Appends the close pairs of a pair of blocks to `found`, returns the hits.
    int64_t look(int64_t first, int64_t second, std::vector<Pair>& found);

  private:
    struct Room : ScanRoom {
        std::vector<double> row_way = std::vector<double>(kBlock), column_way = std::vector<double>(kBlock);

        static Room& of_thread() {
            static thread_local Room own;
            return own;
        }
    };

    // The widest gap from each row of from..to to position `to`, and from position `start` to each of start..stop.
    void ways_down(int64_t from, int64_t to, double least, double* ways) const;
    void ways_up(int64_t start, int64_t stop, double* ways) const;
    void thresholds(const double* ways, int64_t from, int64_t to, float other_error, int32_t* least) const;
    int64_t look_across(int64_t first, int64_t second, std::vector<Pair>& found);
    int64_t look_within(int64_t block, std::vector<Pair>& found);
    void keep(int64_t left, int64_t right, int32_t score, double way, std::vector<Pair>& found) const;
    int scan(const Room& own, int64_t row, int rows, int64_t column, const int32_t* column_least, Hit* hits) const {
        return codes_.version().scan(
            codes_.scan(own.packed.data(), row, rows, column, own.row_least.data(), column_least), hits);
    }

    const Codes& codes_;
    const Rows& rows_;
    const double* gaps_;
    const double* core_;  // may be null
    std::vector<double> widest_;  // the widest gap of each block, including that to the next block
    std::vector<float> error_;    // the largest of each block, excluding those beyond the common error
    const float common_error_;
};

void Pass::ways_down(int64_t from, int64_t to, double least, double* ways) const {
    double widest = least;
    for (int64_t place = to - 1; place >= from; --place) {
        widest = std::max(widest, gaps_[place]);
        ways[place - from] = widest;
    }
}

void Pass::ways_up(int64_t start, int64_t stop, double* ways) const {
    double widest = 0.0;
    for (int64_t place = start; place < stop; ++place) {
        ways[place - start] = widest;
        if (place + 1 < codes_.count()) widest = std::max(widest, gaps_[place]);
    }
}

void Pass::thresholds(const double* ways, int64_t from, int64_t to, float other_error, int32_t* least) const {
    for (int64_t place = from; place < to; ++place) {
        int32_t& own = least[place - from];
        if (place >= codes_.count())
            own = kNever;
        else if (codes_.errors()[place] > common_error_)
            own = kFloor;
        else
            own = least_score(ways[place - from] / codes_.unit() + codes_.errors()[place] + other_error);
    }
}

void Pass::keep(int64_t left, int64_t right, int32_t score, double way, std::vector<Pair>& found) const {
    if (core_ && std::max(core_[left], core_[right]) >= way) return;
    const auto& errors = codes_.errors();
    const double reach = way / codes_.unit();
    if (score < least_score(reach + errors[left] + errors[right]) || codes_.lengths_apart(left, right, reach)) return;
    const double square = codes_.version().square_distance(rows_.at(left), rows_.at(right), rows_.dimensions);
    if (std::sqrt(square) <= way) found.push_back({int32_t(left), int32_t(right), square});
}

int64_t Pass::look(int64_t first, int64_t second, std::vector<Pair>& found) {
    Room::of_thread().open(codes_, first);
    return first == second ? look_within(first, found) : look_across(first, second, found);
}

int64_t Pass::look_across(int64_t first, int64_t second, std::vector<Pair>& found) {
    Room& own = Room::of_thread();
    const int64_t row = first * kBlock, column = second * kBlock, row_end = row + kBlock;
    const int64_t column_end = std::min(column + kBlock, codes_.padded());
    double between = 0.0;
    for (int64_t block = first + 1; block < second; ++block) between = std::max(between, widest_[block]);
    ways_down(row, row_end, between, own.row_way.data());
    ways_up(column, std::min(column_end, codes_.count()), own.column_way.data());
    thresholds(own.row_way.data(), row, row_end, error_[second], own.row_least.data());
    thresholds(own.column_way.data(), column, column_end, error_[first], own.column_least.data());
    int64_t hits = 0;
    const int step = codes_.version().panels_a_call * kPanel;
    for (int64_t at = column; at < column_end; at += step) {
        const int count = scan(own, row, int(kBlock), at, own.column_least.data() + (at - column), own.hits.data());
        hits += count;
        for (int hit = 0; hit < count; ++hit) {
            const int64_t left = row + own.hits[hit].row, right = at + own.hits[hit].column;
            const double way = std::max(own.row_way[left - row], own.column_way[right - column]);
            keep(left, right, own.hits[hit].score, way, found);
        }
    }
    return hits;
}

// Column by column: the path maximum from a row to a column is that to the first column and from there. Rows among the
// columns themselves use the maximum over all of them.
int64_t Pass::look_within(int64_t block, std::vector<Pair>& found) {
    Room& own = Room::of_thread();
    const int64_t start = block * kBlock, end = std::min(start + kBlock, codes_.padded());
    const int step = codes_.version().panels_a_call * kPanel;
    int64_t hits = 0;
    for (int64_t at = start; at < end; at += step) {
        const int64_t stop = std::min(at + step, codes_.count());
        if (stop <= start) break;
        ways_up(at, stop, own.column_way.data());
        ways_down(start, std::min(at, codes_.count() - 1), 0.0, own.row_way.data());
        const double among = stop > at ? own.column_way[stop - 1 - at] : 0.0;
        for (int64_t place = at; place < std::min(at + step, end); ++place) own.row_way[place - start] = among;
        thresholds(own.row_way.data(), start, std::min(at + step, end), error_[block], own.row_least.data());
        thresholds(own.column_way.data(), at, at + step, error_[block], own.column_least.data());
        const int count =
            scan(own, start, int(at + step - start), at, own.column_least.data(), own.hits.data());
        hits += count;
        for (int hit = 0; hit < count; ++hit) {
            const int64_t left = start + own.hits[hit].row, right = at + own.hits[hit].column;
            if (left >= right) continue;
            double way = own.column_way[right - at];
            if (left < at) way = std::max(way, own.row_way[left - start]);
            else way = *std::max_element(gaps_ + left, gaps_ + right);
            keep(left, right, own.hits[hit].score, way, found);
        }
    }
    return hits;
}

}  // namespace

ClosePairs close_pairs(
    const Codes& codes, const Rows& rows, const double* gaps, const double* core, const int32_t* blocks,
    int64_t block_count, int64_t capacity, const Control& control) {
    Pass pass(codes, rows, gaps, core);
    ClosePairs all;
    std::mutex mutex;
    // In batches, so that the processed pairs of blocks are a prefix of the list: short batches if many pairs are
    // found, or a poor tree would let through far more than the capacity before it is noticed.
    int64_t stretch = kFirstStretch;
    while (all.done < block_count && int64_t(all.pairs.size()) <= capacity) {
        const int64_t from = all.done, to = std::min(from + stretch, block_count), before = int64_t(all.pairs.size());
        parallel_for(to - from, control.part(double(from) / double(block_count), double(to) / double(block_count)),
                     [&](int64_t at, int) {
                         std::vector<Pair> found;
                         const int64_t hits = pass.look(blocks[2 * (from + at)], blocks[2 * (from + at) + 1], found);
                         std::lock_guard<std::mutex> lock(mutex);
                         all.pairs.insert(all.pairs.end(), found.begin(), found.end());
                         all.hits += hits;
                     });
        all.done = to;
        const bool few = 4 * (int64_t(all.pairs.size()) - before) < capacity - int64_t(all.pairs.size());
        stretch = few ? std::min(2 * stretch, kLongestStretch) : kFirstStretch;
    }
    std::sort(all.pairs.begin(), all.pairs.end(), [](const Pair& one, const Pair& two) {
        return one.left != two.left ? one.left < two.left : one.right < two.right;
    });
    return all;
}

}  // namespace shoal
