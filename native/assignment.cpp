#include "assignment.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>

#include "scan_room.hpp"

namespace shoal {
namespace {

constexpr int kLevels = 5;                       // distance thresholds tried per row
constexpr double kLargeDrift = 0.12;             // fraction of the distances to the own centers
constexpr double kMostSlack = 0.06;              // likewise, within which pairs are resolved one by one
constexpr int kRun = 128;                        // rows that share guesses
constexpr float kWidest = 4096.0f;               // a larger gap would lose digits
constexpr float kRounding = 4e-3f;               // bound of the rounding error of a gap per step, in code units
constexpr double kUnknown = -1.0;  // a square
constexpr double kInfinite = std::numeric_limits<double>::infinity();

inline float upper(double distance) { return float(distance * (1 + 1e-6)); }
inline double lower(double distance) { return distance * (1 - 1e-6); }

// Minimum distance of two codes with this score.
inline double code_distance(int32_t score) { return std::sqrt(std::max(0.0, -2.0 * double(score))); }

int lot(const Codes& codes) { return codes.version().panels_a_call * kPanel; }
int lots(const Codes& codes, int64_t count) { return int((count + lot(codes) - 1) / lot(codes)); }

// The codes of a block's rows, contiguous, unpacked from their panel when first needed.
struct Unpacked {
    std::vector<uint8_t> bytes, panel, tile;
    bool done[kBlock / kPanel];
    int64_t start = 0, row_bytes = 0;

    void open(const Codes& codes, int64_t block) {
        row_bytes = int64_t(codes.stages().groups()) * kGroup;
        bytes.resize(size_t(kBlock * row_bytes));
        panel.resize(size_t(kPanel * row_bytes));
        tile.resize(size_t(kTileRows * row_bytes));
        std::fill(std::begin(done), std::end(done), false);
        start = block * kBlock;
    }

    void need(const Codes& codes, int row) {
        const int own = row / kPanel;
        if (done[own]) return;
        done[own] = true;
        codes.pack(start + own * kPanel, start + (own + 1) * kPanel, panel.data());
        for (int at = 0; at < kPanel; ++at) {
            const uint8_t* source = panel.data() + at / kTileRows * kTileRows * row_bytes + at % kTileRows * kGroup;
            uint8_t* target = bytes.data() + (own * kPanel + at) * row_bytes;
            for (int64_t byte = 0; byte < row_bytes; byte += kGroup)
                std::memcpy(target + byte, source + byte * kTileRows, kGroup);
        }
    }
};

const std::vector<int32_t>& never() {
    static const std::vector<int32_t> values(kPanel * 64, kNever);
    return values;
}

// Halved squared lengths for scans of rows against centers. A center is a mean: in the dimensions beyond the current
// stage, the tail, it is far shorter than the rows. By |x.c| <= |x||c| <= (ratio |x|^2 + |c|^2 / ratio) / 2 the full
// score is at most that of the stage minus (1 - ratio) |x|^2 / 2 + (1 - 1 / ratio) |c|^2 / 2 of the tails, for any
// ratio; the ratio of the lengths is optimal. A scan with ratio 1 subtracts nothing.
class Halves {
  public:
    Halves(const Codes& rows, const Codes& centers);

    // For the rows of a block: [stage][kBlock].
    void of_rows(const Codes& rows, int64_t block, std::vector<int32_t>& halves) const;
    // `scan` with these halves; its columns start at position `column`.
    Scan used_in(Scan scan, const std::vector<int32_t>& of_rows, int64_t column) const {
        scan.row_half = of_rows.data();
        scan.row_half_stride = kBlock;
        scan.column_half = columns_.data() + column;
        scan.column_half_stride = padded_;
        return scan;
    }

  private:
    static constexpr int64_t kSample = 4096;
    static double tail(const Scan& scan, int stage, int last, int64_t count);

    int64_t padded_;
    std::vector<double> ratios_;    // of each stage
    std::vector<int32_t> columns_;  // [stage][padded]
};

// The mean of half the squared lengths of the tails.
double Halves::tail(const Scan& scan, int stage, int last, int64_t count) {
    const int64_t step = std::max<int64_t>(1, count / kSample);
    double sum = 0.0;
    for (int64_t row = 0; row < count; row += step)
        sum += scan.row_half[last * scan.row_half_stride + row] - scan.row_half[stage * scan.row_half_stride + row];
    return sum / double((count + step - 1) / step);
}

Halves::Halves(const Codes& rows, const Codes& centers) : padded_(centers.padded()) {
    const Scan own = centers.scan(nullptr, 0, 0, 0, nullptr, nullptr);
    const Scan other = rows.scan(nullptr, 0, 0, 0, nullptr, nullptr);
    const int stages = own.stages->count, last = stages - 1;
    columns_.resize(stages * padded_);
    for (int stage = 0; stage < stages; ++stage) {
        const double tails = std::max(1.0, tail(other, stage, last, rows.count()));
        ratios_.push_back(std::clamp(std::sqrt(tail(own, stage, last, centers.count()) / tails), 0.125, 1.0));
        for (int64_t place = 0; place < padded_; ++place) {
            const int32_t rest = own.row_half[last * padded_ + place] - own.row_half[stage * padded_ + place];
            const double less = stage < last ? std::floor((1 - 1 / ratios_[stage]) * (rest + 1)) : 0.0;
            columns_[stage * padded_ + place] = own.column_half[stage * padded_ + place] + int32_t(less);
        }
    }
}

void Halves::of_rows(const Codes& rows, int64_t block, std::vector<int32_t>& halves) const {
    const int64_t start = block * kBlock, count = std::min(kBlock, rows.padded() - start);
    const Scan own = rows.scan(nullptr, start, 0, 0, nullptr, nullptr);
    const int stages = own.stages->count;
    const int32_t* whole = own.row_half + (stages - 1) * own.row_half_stride;
    halves.assign(stages * kBlock, kPadding);
    for (int stage = 0; stage < stages; ++stage)
        for (int64_t row = 0; row < count; ++row) {
            const int32_t half = own.row_half[stage * own.row_half_stride + row], rest = whole[row] - half;
            const double more = stage < stages - 1 ? std::floor((1 - ratios_[stage]) * std::max(0, rest - 1)) : 0.0;
            halves[stage * kBlock + row] = half + int32_t(more);
        }
}

// Centers outside the range of the codes, few: their errors would loosen the thresholds of all rows. They are excluded
// from the thresholds and compared with every row, by length first.
struct FarCenters {
    FarCenters(const Codes& codes, int groups, int size) : places(groups) {
        const float most = codes.common_error();
        error = codes.largest_error(0, codes.count(), most);
        for (int64_t place = 0; place < codes.count(); ++place)
            if (codes.errors()[place] > most) places[place / size].push_back(int32_t(place));
    }

    float error;                               // the largest of a center's code, excluding these
    std::vector<std::vector<int32_t>> places;  // by lot
};

// First guess for all rows of a block: the best scoring centers of a few rows are tried for the rows around them. Also
// determines the order in which lots of centers are processed.
class Guess {
  public:
    void find(const Codes& codes, const Rows& rows, const Centers& centers, int64_t block, Unpacked& unpacked,
              int32_t* labels, double* squares);
    // Lots, the likely ones first.
    const std::vector<int>& order() const { return order_; }

  private:
    void scan(const Codes& codes, const Centers& centers, const Unpacked& unpacked);

    std::vector<int32_t> listed_, least_ = std::vector<int32_t>(kBlock, kFloor);
    std::vector<uint8_t> clear_;
    std::vector<Hit> hits_;
    std::vector<int32_t> best_, score_;  // of each row in the block
    std::vector<int32_t> lot_score_;
    std::vector<int> order_;
};

void Guess::scan(const Codes& codes, const Centers& centers, const Unpacked& unpacked) {
    const int size = lot(codes), count = lots(codes, centers.codes->count());
    hits_.resize(listed_.size() * size);
    clear_.resize(listed_.size());
    best_.assign(kBlock, 0);
    score_.assign(kBlock, -kNever);
    lot_score_.assign(count, -kNever);
    std::vector<uint8_t> tile(unpacked.tile.size());
    for (int at = 0; at < count; ++at) {
        const int64_t first = int64_t(at) * size;
        const Probe probe{codes.scan(unpacked.bytes.data(), unpacked.start, int(kBlock), *centers.codes, first,
                                     least_.data(), never().data()),
                          listed_.data(), int(listed_.size()), nullptr, 0, 0, 0, tile.data(), clear_.data()};
        const int found = codes.version().probe(probe, hits_.data());
        for (int hit = 0; hit < found; ++hit) {
            const Hit& own = hits_[hit];
            if (first + own.column >= centers.codes->count()) continue;
            lot_score_[at] = std::max(lot_score_[at], own.score);
            if (own.score <= score_[own.row]) continue;
            score_[own.row] = own.score;
            best_[own.row] = centers.numbers[first + own.column];
        }
    }
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](int one, int two) { return lot_score_[one] > lot_score_[two]; });
}

void Guess::find(const Codes& codes, const Rows& rows, const Centers& centers, int64_t block, Unpacked& unpacked,
                 int32_t* labels, double* squares) {
    const int64_t start = block * kBlock, count = std::min(kBlock, codes.count() - start);
    listed_.clear();
    for (int64_t run = 0; run < count; run += kRun)
        for (int at = 0; at < kTileRows; ++at)
            listed_.push_back(int32_t(std::min(run + kRun / kTileRows * at + kRun / (2 * kTileRows), count - 1)));
    for (const int32_t row : listed_) unpacked.need(codes, row);
    scan(codes, centers, unpacked);
    for (int64_t row = 0; row < count; ++row) {
        const int32_t* guesses = listed_.data() + row / kRun * kTileRows;
        labels[row] = -1;
        for (int at = 0; at < kTileRows; ++at) {
            const int32_t number = best_[guesses[at]];
            bool known = false;
            for (int before = 0; before < at; ++before) known |= best_[guesses[before]] == number;
            if (known) continue;
            const double square =
                codes.version().square_distance(rows.at(start + row), centers.at(number), rows.dimensions);
            const bool nearer = square < squares[row] || (square == squares[row] && number < labels[row]);
            if (labels[row] >= 0 && !nearer) continue;
            labels[row] = number;
            squares[row] = square;
        }
    }
}

}  // namespace

// Precomputed data of a step.
struct Assignment::Plan {
    const Centers* centers;
    bool first;
    Halves halves;
    std::vector<float> drift, lot_drift;
    std::vector<int32_t> group_of;  // the lot of each center
    int levels = 0, sought = 0;     // levels tried, and that at which rows are skipped early
    FarCenters far;
    float slack[kLevels + 1];       // hits lie within slack[0] more than the distance to the own center
};

struct Assignment::Scratch {
    Unpacked unpacked;
    Guess guess;
    std::vector<int32_t> halves;
    std::vector<float> gaps;  // if none are stored
    float* gap;               // [group][row]
    int count;
    float loss[kBlock], gain[kBlock];
    uint8_t open[kBlock];                // a lot must be processed
    int32_t before[kBlock];              // labels before the step, of open rows
    double squares[kBlock];              // to the own center, of open rows
    int32_t least[kLevels + 1][kBlock];  // thresholds
    int32_t listed[kBlock];
    uint8_t clear[kBlock / kTileRows];
    std::vector<Hit> hits;
    std::vector<Move> moves;
    StepCounts counts;
};

Assignment::Assignment(const Codes& codes, Rows rows, int64_t center_count, int64_t kept_bytes)
    : codes_(codes), rows_(rows), groups_(lots(codes, center_count)),
      kept_(codes.blocks() * groups_ * kBlock * int64_t(sizeof(float)) <= kept_bytes), labels_(codes.count(), -1),
      reach_(codes.count(), std::numeric_limits<float>::infinity()) {
    if (kept_) gaps_.assign(codes.blocks() * groups_ * kBlock, -1.0f);
}

Assignment::Scratch& Assignment::scratch() {
    static thread_local Scratch own;
    return own;
}

Assignment::Plan Assignment::plan(const Centers& centers, const double* drift) const {
    const int64_t count = centers.codes->count();
    Plan plan{&centers, drift == nullptr, Halves(codes_, *centers.codes), std::vector<float>(count),
              std::vector<float>(groups_),
              std::vector<int32_t>(count), 0, 0, FarCenters(*centers.codes, groups_, lot(codes_)), {}};
    for (int64_t place = 0; place < count; ++place) {
        const int32_t number = centers.numbers[place];
        const int group = int(place / lot(codes_));
        plan.group_of[number] = group;
        if (drift == nullptr) continue;
        plan.drift[number] = upper(drift[number] / codes_.unit());
        plan.lot_drift[group] = std::max(plan.lot_drift[group], plan.drift[number]);
    }
    // The next step loosens the bounds by about as much as this one. If that is a large part of the distances, no bound
    // lasts and only the nearest center is searched.
    double typical = 0.0, mean = 0.0;
    for (const float own : plan.drift) typical += own / double(count);
    for (const float own : plan.lot_drift) typical += own / double(groups_);
    for (const float reach : reach_) mean += reach / double(reach_.size());
    float level = 0.0f;
    if (drift != nullptr && typical < kLargeDrift * mean) {
        plan.levels = plan.sought = kLevels;
        level = std::min(float(std::min(typical, kMostSlack * mean)), kWidest / 16);
    }
    for (float& own : plan.slack) {
        own = level;
        level *= 1.5f;
    }
    return plan;
}

std::vector<Move> Assignment::step(const Centers& centers, const double* drift, const Control& control,
                                   StepCounts& counts) {
    const Plan plan = this->plan(centers, drift);
    std::vector<Move> moves;
    std::mutex mutex;
    parallel_for(codes_.blocks(), control, [&](int64_t block, int) {
        Scratch& own = scratch();
        own.moves.clear();
        own.counts = {};
        look(block, plan, own);
        std::lock_guard<std::mutex> lock(mutex);
        moves.insert(moves.end(), own.moves.begin(), own.moves.end());
        counts.tiles += own.counts.tiles;
        counts.hits += own.counts.hits;
        counts.measured += own.counts.measured;
    });
    std::sort(moves.begin(), moves.end(), [](const Move& one, const Move& two) { return one.row < two.row; });
    return moves;
}

void Assignment::look(int64_t block, const Plan& plan, Scratch& own) {
    const int64_t start = block * kBlock;
    own.count = int(std::min(kBlock, codes_.count() - start));
    own.unpacked.open(codes_, block);
    plan.halves.of_rows(codes_, block, own.halves);
    own.hits.resize(size_t(kBlock) * lot(codes_));
    if (!kept_) own.gaps.assign(size_t(groups_) * kBlock, -1.0f);
    own.gap = kept_ ? gaps_.data() + block * groups_ * kBlock : own.gaps.data();
    std::fill(std::begin(own.open), std::end(own.open), plan.first);
    if (plan.first) {
        own.guess.find(codes_, rows_, *plan.centers, block, own.unpacked, labels_.data() + start, own.squares);
        std::fill(own.gap, own.gap + size_t(groups_) * kBlock, -1.0f);
        std::fill(own.before, own.before + own.count, -1);
    } else {
        loosen(block, plan, own);
    }
    tighten(block, plan, own);
    for (int at = 0; at < groups_; ++at) look_at(plan.first ? own.guess.order()[at] : at, block, plan, own);
    for (int row = 0; row < own.count; ++row)
        if (own.open[row] && own.before[row] != labels_[start + row])
            own.moves.push_back({rows_.order[start + row], own.before[row], labels_[start + row]});
}

// Loosens the bounds by the movement of the centers, and opens the rows for which some lot may have come near enough.
void Assignment::loosen(int64_t block, const Plan& plan, Scratch& own) {
    const int64_t start = block * kBlock;
    for (int row = 0; row < own.count; ++row) {
        float& reach = reach_[start + row];
        const float before = reach;
        reach = upper(double(before) + plan.drift[labels_[start + row]]);
        own.loss[row] = reach - before;
    }
    for (int group = 0; group < groups_; ++group) {
        float* gap = own.gap + size_t(group) * kBlock;
        const float drift = plan.lot_drift[group] + kRounding;
        for (int row = 0; row < own.count; ++row) {
            gap[row] -= own.loss[row] + drift;
            own.open[row] |= uint8_t(!(gap[row] > 0.0f));
        }
    }
}

// Thresholds for the open rows, from the distance to the own center. If that center did not move the previous bound is
// used, and the distance is computed only if another center comes near.
void Assignment::tighten(int64_t block, const Plan& plan, Scratch& own) {
    const int64_t start = block * kBlock;
    for (int row = 0; row < own.count; ++row) {
        own.gain[row] = 0.0f;
        if (!own.open[row]) continue;
        const int64_t place = start + row;
        if (!plan.first) {
            own.before[row] = labels_[place];
            own.squares[row] = kUnknown;
        }
        const bool still = !plan.first && plan.drift[labels_[place]] == 0.0f;
        if (row + 4 < own.count && own.open[row + 4] && !still) fetch(place + 4);
        if (still) {
            set_thresholds(place, plan, own);
            continue;
        }
        const float before = reach_[place];
        change(place, labels_[place], own_square(place, plan, own), plan, own);
        if (!plan.first) own.gain[row] = before - reach_[place];
    }
    if (plan.first) return;
    for (int group = 0; group < groups_; ++group) {
        float* gap = own.gap + size_t(group) * kBlock;
        for (int row = 0; row < own.count; ++row) gap[row] = std::min(gap[row] + own.gain[row], kWidest);
    }
}

double Assignment::own_square(int64_t place, const Plan& plan, Scratch& own) const {
    double& square = own.squares[place % kBlock];
    if (square == kUnknown) {
        square = codes_.version().square_distance(rows_.at(place), plan.centers->at(labels_[place]), rows_.dimensions);
        ++own.counts.measured;
    }
    return square;
}

// Prefetch: rows are scattered in memory.
void Assignment::fetch(int64_t place) const {
    for (int64_t at = 0; at < rows_.dimensions; at += 16) __builtin_prefetch(rows_.at(place) + at);
}

// The best center so far of the row at `place` is `to`.
void Assignment::change(int64_t place, int32_t to, double square, const Plan& plan, Scratch& own) {
    const int row = int(place % kBlock);
    const int32_t from = labels_[place];
    const float reach = upper(std::sqrt(square) / codes_.unit());
    if (from != to) {
        float& gap = own.gap[size_t(plan.group_of[from]) * kBlock + row];
        const float slack = float(lower(std::sqrt(own.squares[row]) / codes_.unit())) - reach;
        if (!(slack >= gap)) gap = slack;
    }
    labels_[place] = to;
    own.squares[row] = square;
    reach_[place] = reach;
    set_thresholds(place, plan, own);
}

void Assignment::set_thresholds(int64_t place, const Plan& plan, Scratch& own) const {
    const double distance = double(reach_[place]) + codes_.errors()[place] + double(plan.far.error);
    for (int level = 0; level <= plan.levels; ++level)
        own.least[level][place % kBlock] = least_score(distance + plan.slack[level]);
}

void Assignment::look_at(int group, int64_t block, const Plan& plan, Scratch& own) {
    float* gap = own.gap + size_t(group) * kBlock;
    int count = 0;
    for (int row = 0; row < own.count; ++row)
        if (own.open[row] && !(gap[row] > 0.0f)) own.listed[count++] = row;
    if (count == 0) return;
    for (int at = 0; at < count; ++at) own.unpacked.need(codes_, own.listed[at]);
    for (; count % kTileRows != 0; ++count) own.listed[count] = own.listed[count - 1];
    const int64_t first = int64_t(group) * lot(codes_);
    const Scan scan = codes_.scan(own.unpacked.bytes.data(), block * kBlock, int(kBlock), *plan.centers->codes, first,
                                  own.least[0], never().data());
    const Probe probe{plan.halves.used_in(scan, own.halves, first), own.listed, count, own.least[1], kBlock,
                      plan.levels, plan.sought, own.unpacked.tile.data(), own.clear};
    const int found = codes_.version().probe(probe, own.hits.data());
    for (int at = 0; at < count; ++at)
        gap[own.listed[at]] = plan.slack[std::max(0, int(own.clear[at / kTileRows]) - 1)];
    for (int at = 0; at < found; ++at) {
        const int64_t place = block * kBlock + own.hits[at].row, center = first + own.hits[at].column;
        const double errors = double(codes_.errors()[place]) + plan.centers->codes->errors()[center];
        weigh(place, center, lower(code_distance(own.hits[at].score)) - errors, plan, own);
    }
    for (const int32_t center : plan.far.places[group])
        for (int at = 0; at < count; ++at) {
            const int64_t place = block * kBlock + own.listed[at];
            weigh(place, center, codes_.length_gap(place, *plan.centers->codes, center), plan, own);
        }
    own.counts.tiles += count / kTileRows;
    own.counts.hits += found;
}

// The row at `place` and the center at place `center`, at least `distance` apart, in code units.
void Assignment::weigh(int64_t place, int64_t center, double distance, const Plan& plan, Scratch& own) {
    const Centers& centers = *plan.centers;
    const int32_t number = centers.numbers[center];
    if (number == labels_[place]) return;
    if (!(distance > reach_[place])) {
        const double square =
            codes_.version().square_distance(rows_.at(place), centers.at(number), rows_.dimensions);
        ++own.counts.measured;
        const double nearest = own_square(place, plan, own);
        if (square < nearest || (square == nearest && number < labels_[place])) {
            change(place, number, square, plan, own);
            return;
        }
        distance = lower(std::sqrt(square) / codes_.unit());
    }
    float& gap = own.gap[size_t(plan.group_of[number]) * kBlock + place % kBlock];
    const float slack = float(distance - reach_[place]);
    if (!(slack >= gap)) gap = slack;
}

namespace {

// The two nearest centers of the rows of a block.
class TwoNearest {
  public:
    TwoNearest(const Codes& codes, const Rows& rows, const Centers& centers)
        : codes_(codes), rows_(rows), centers_(centers), halves_(codes, *centers.codes),
          far_(*centers.codes, lots(codes, centers.codes->count()), lot(codes)) {}

    void look(int64_t block, int32_t* labels, double* squares) const;

  private:
    struct Scratch {
        Unpacked unpacked;
        std::vector<uint8_t> packed;
        Guess guess;
        int32_t labels[kBlock];
        double squares[kBlock], seconds[kBlock];
        int32_t least[kBlock];
        std::vector<int32_t> halves;
        std::vector<Hit> hits;
    };

    void weigh(int row, int64_t start, int64_t center, Scratch& own) const;
    int32_t least(int64_t place, double second) const {
        return least_score(std::sqrt(second) / codes_.unit() + codes_.errors()[place] + far_.error);
    }

    const Codes& codes_;
    const Rows& rows_;
    const Centers& centers_;
    const Halves halves_;
    const FarCenters far_;
};

void TwoNearest::look(int64_t block, int32_t* labels, double* squares) const {
    static thread_local Scratch own;
    const int64_t start = block * kBlock;
    const int count = int(std::min(kBlock, codes_.count() - start));
    own.unpacked.open(codes_, block);
    own.packed.resize(own.unpacked.bytes.size());
    codes_.pack(start, std::min(start + kBlock, codes_.padded()), own.packed.data());
    halves_.of_rows(codes_, block, own.halves);
    own.hits.resize(size_t(kBlock) * lot(codes_));
    own.guess.find(codes_, rows_, centers_, block, own.unpacked, own.labels, own.squares);
    std::fill(own.seconds, own.seconds + count, kInfinite);
    std::fill(std::begin(own.least), std::end(own.least), kNever);
    for (int row = 0; row < count; ++row) own.least[row] = kFloor;
    const int rows = (count + kTileRows - 1) / kTileRows * kTileRows;
    for (const int group : own.guess.order()) {
        const int64_t first = int64_t(group) * lot(codes_);
        const Scan scan =
            codes_.scan(own.packed.data(), start, rows, *centers_.codes, first, own.least, never().data());
        const int found = codes_.version().scan(halves_.used_in(scan, own.halves, first), own.hits.data());
        for (int at = 0; at < found; ++at)
            if (own.hits[at].score >= own.least[own.hits[at].row])
                weigh(own.hits[at].row, start, first + own.hits[at].column, own);
        for (const int32_t center : far_.places[group])
            for (int row = 0; row < count; ++row) weigh(row, start, center, own);
    }
    for (int row = 0; row < count; ++row) {
        labels[start + row] = own.labels[row];
        squares[2 * (start + row)] = own.squares[row];
        squares[2 * (start + row) + 1] = own.seconds[row];
    }
}

void TwoNearest::weigh(int row, int64_t start, int64_t center, Scratch& own) const {
    const int32_t number = centers_.numbers[center];
    const int64_t place = start + row;
    if (number == own.labels[row]) return;
    if (codes_.lengths_apart(place, *centers_.codes, center, upper(std::sqrt(own.seconds[row]) / codes_.unit()))) return;
    const double square = codes_.version().square_distance(rows_.at(place), centers_.at(number), rows_.dimensions);
    const double best = own.squares[row];
    if (square < best || (square == best && number < own.labels[row])) {
        own.labels[row] = number;
        own.squares[row] = square;
        own.seconds[row] = best;
    } else if (square < own.seconds[row]) {
        own.seconds[row] = square;
    } else {
        return;
    }
    own.least[row] = least(place, own.seconds[row]);
}

}  // namespace

void nearest_two(const Codes& codes, Rows rows, const Centers& centers, const Control& control, int32_t* labels,
                 double* squares) {
    const TwoNearest search(codes, rows, centers);
    parallel_for(codes.blocks(), control, [&](int64_t block, int) { search.look(block, labels, squares); });
}

}  // namespace shoal
