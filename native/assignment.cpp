#include "assignment.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <numeric>

namespace shoal {
namespace {

constexpr int kTiles = int(kBlock) / kTileRows;  // of a block
constexpr int kLevels = 3;                       // distances at which a tile is tried
constexpr int kRun = 32;                         // tiles that share the guesses of one
constexpr float kWidest = 4096.0f;               // a larger gap would lose digits
constexpr float kRounding = 4e-3f;               // more than rounding can add to such a gap in a step, in code units
constexpr int32_t kNever = std::numeric_limits<int32_t>::max();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// The score that a pair at most `distance` apart, in code units, has at least.
inline int32_t least_score(double distance) {
    const double least = -0.5 * distance * distance * (1 + 1e-6) - 2.0;
    return least > double(kFloor) ? int32_t(least) : kFloor;
}

inline float upper(double distance) { return float(distance * (1 + 1e-6)); }
inline double lower(double distance) { return distance * (1 - 1e-6); }

// What two codes with this score are apart at least.
inline double code_distance(int32_t score) { return std::sqrt(std::max(0.0, -2.0 * double(score))); }

int lot(const Codes& codes) { return codes.version().panels_a_call * kPanel; }
int lots(const Codes& codes, int64_t count) { return int((count + lot(codes) - 1) / lot(codes)); }

// A block of rows, packed for scans panel by panel when first needed.
struct PackedBlock {
    std::vector<uint8_t> bytes;
    bool done[kBlock / kPanel];
    int64_t start = 0;

    void open(const Codes& codes, int64_t block) {
        bytes.resize(size_t(kBlock) * codes.stages().groups() * kGroup);
        std::fill(std::begin(done), std::end(done), false);
        start = block * kBlock;
    }

    void need(const Codes& codes, int tile) {
        const int panel = tile / (kPanel / kTileRows);
        if (done[panel]) return;
        done[panel] = true;
        const int64_t from = start + panel * kPanel;
        codes.pack(from, from + kPanel, bytes.data() + size_t(panel) * kPanel * codes.stages().groups() * kGroup);
    }
};

const std::vector<int32_t>& never() {
    static const std::vector<int32_t> values(kPanel * 64, kNever);
    return values;
}

// A first guess for all rows of a block: the best scoring centers of one tile in every kRun are tried for the rows
// around it. Also tells in which order the lots of centers are worth a look.
class Guess {
  public:
    void find(const Codes& codes, const Rows& rows, const Centers& centers, int64_t block, PackedBlock& packed,
              int32_t* labels, double* squares);
    const std::vector<int>& order() const { return order_; }

  private:
    void scan(const Codes& codes, const Centers& centers, PackedBlock& packed, int64_t start);

    std::vector<int32_t> tiles_, least_ = std::vector<int32_t>(kBlock, kFloor);
    std::vector<uint8_t> clear_;
    std::vector<Hit> hits_;
    std::vector<int32_t> best_, score_;  // of each row in the block
    std::vector<int32_t> lot_score_;
    std::vector<int> order_;
};

void Guess::scan(const Codes& codes, const Centers& centers, PackedBlock& packed, int64_t start) {
    const int size = lot(codes), count = lots(codes, centers.codes->count());
    hits_.resize(size_t(tiles_.size()) * kTileRows * size);
    clear_.resize(tiles_.size());
    best_.assign(kBlock, 0);
    score_.assign(kBlock, -kNever);
    lot_score_.assign(count, -kNever);
    for (const int32_t tile : tiles_) packed.need(codes, tile);
    for (int at = 0; at < count; ++at) {
        const Probe probe{codes.scan(packed.bytes.data(), start, int(kBlock), *centers.codes, int64_t(at) * size,
                                     least_.data(), never().data()),
                          tiles_.data(), int(tiles_.size()), nullptr, 0, 0, 0, clear_.data()};
        const int found = codes.version().probe(probe, hits_.data());
        for (int hit = 0; hit < found; ++hit) {
            const Hit& own = hits_[hit];
            if (int64_t(at) * size + own.column >= centers.codes->count()) continue;
            lot_score_[at] = std::max(lot_score_[at], own.score);
            if (own.score <= score_[own.row]) continue;
            score_[own.row] = own.score;
            best_[own.row] = centers.numbers[int64_t(at) * size + own.column];
        }
    }
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](int one, int two) { return lot_score_[one] > lot_score_[two]; });
}

void Guess::find(const Codes& codes, const Rows& rows, const Centers& centers, int64_t block, PackedBlock& packed,
                 int32_t* labels, double* squares) {
    const int64_t start = block * kBlock, count = std::min(kBlock, codes.count() - start);
    const int tiles = int((count + kTileRows - 1) / kTileRows);
    tiles_.clear();
    for (int run = 0; run < tiles; run += kRun) tiles_.push_back(std::min(run + kRun / 2, tiles - 1));
    scan(codes, centers, packed, start);
    for (int64_t row = 0; row < count; ++row) {
        const int64_t guesses = int64_t(tiles_[row / (kRun * kTileRows)]) * kTileRows;
        labels[row] = -1;
        for (int64_t other = guesses; other < std::min(guesses + kTileRows, count); ++other) {
            const int32_t number = best_[other];
            bool known = false;
            for (int64_t before = guesses; before < other; ++before) known |= best_[before] == number;
            if (known) continue;
            const double square =
                codes.version().square_distance(rows.at(start + row), centers.at(number), rows.dimensions);
            if (labels[row] >= 0 && (square > squares[row] || (square == squares[row] && number > labels[row]))) continue;
            labels[row] = number;
            squares[row] = square;
        }
    }
}

}  // namespace

// What a step knows beforehand.
struct Assignment::Plan {
    const Centers* centers;
    bool first;
    std::vector<float> drift, lot_drift;
    std::vector<int32_t> group_of;  // the lot of each center
    int sought;                     // the level at which a tile is left early
    float error;                    // the largest error of a center's code
    float levels[kLevels + 1];      // hits lie within levels[0] more than the distance to the own center
};

struct Assignment::Scratch {
    PackedBlock packed;
    Guess guess;
    std::vector<float> gaps;  // where none are kept
    float* gap;               // [group][tile]
    int count, tiles;
    float loss[kTiles], gain[kTiles];
    bool open[kTiles];                   // a lot must be looked at
    int32_t before[kBlock];              // labels before the step, of open tiles
    double squares[kBlock];              // to the own center, of open tiles
    int32_t least[kLevels + 1][kBlock];  // thresholds
    int32_t list[kTiles];
    uint8_t clear[kTiles];
    std::vector<Hit> hits;
    std::vector<Move> moves;
    StepCounts counts;
};

Assignment::Assignment(const Codes& codes, Rows rows, int64_t center_count, int64_t kept_bytes)
    : codes_(codes), rows_(rows), groups_(lots(codes, center_count)),
      kept_(codes.blocks() * groups_ * kTiles * int64_t(sizeof(float)) <= kept_bytes), labels_(codes.count(), -1),
      reach_(codes.count(), std::numeric_limits<float>::infinity()) {
    if (kept_) gaps_.assign(codes.blocks() * groups_ * kTiles, -1.0f);
}

Assignment::Scratch& Assignment::scratch() {
    static thread_local Scratch own;
    return own;
}

Assignment::Plan Assignment::plan(const Centers& centers, const double* drift) const {
    const int64_t count = centers.codes->count();
    Plan plan{&centers, drift == nullptr, std::vector<float>(count), std::vector<float>(groups_),
              std::vector<int32_t>(count), 0, centers.codes->largest_error(0, count), {}};
    for (int64_t place = 0; place < count; ++place) {
        const int32_t number = centers.numbers[place];
        const int group = int(place / lot(codes_));
        plan.group_of[number] = group;
        if (drift == nullptr) continue;
        plan.drift[number] = upper(drift[number] / codes_.unit());
        plan.lot_drift[group] = std::max(plan.lot_drift[group], plan.drift[number]);
    }
    // The next step will take off about as much as this one.
    double typical = 0.0;
    for (const float own : plan.drift) typical += own / double(count);
    for (const float own : plan.lot_drift) typical += own / double(groups_);
    static const double A=atof(getenv("KM_A")?:"0.5"),B=atof(getenv("KM_B")?:"3"),Cc=atof(getenv("KM_C")?:"9"),Dd=atof(getenv("KM_D")?:"27"),CAP=atof(getenv("KM_CAP")?:"20");
    double unit = std::min(typical, CAP / A);
    static const int SO=atoi(getenv("KM_S")?:"0"); plan.sought = drift==nullptr?0:SO;
    const double f[4]={A,B,Cc,Dd};
    for (int level = 0; level <= kLevels; ++level)
        plan.levels[level] = std::min(float(drift == nullptr ? 8.0f * level : f[level]*unit), kWidest);
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
    own.tiles = (own.count + kTileRows - 1) / kTileRows;
    own.packed.open(codes_, block);
    own.hits.resize(size_t(kBlock) * lot(codes_));
    if (!kept_) own.gaps.assign(size_t(groups_) * kTiles, -1.0f);
    own.gap = kept_ ? gaps_.data() + block * groups_ * kTiles : own.gaps.data();
    std::fill(std::begin(own.open), std::end(own.open), plan.first);
    if (plan.first) {
        own.guess.find(codes_, rows_, *plan.centers, block, own.packed, labels_.data() + start, own.squares);
        std::fill(own.gap, own.gap + size_t(groups_) * kTiles, -1.0f);
        std::fill(own.before, own.before + own.count, -1);
    } else {
        loosen(block, plan, own);
    }
    tighten(block, plan, own);
    for (int at = 0; at < groups_; ++at) look_at(plan.first ? own.guess.order()[at] : at, block, plan, own);
    for (int row = 0; row < own.count; ++row)
        if (own.open[row / kTileRows] && own.before[row] != labels_[start + row])
            own.moves.push_back({rows_.order[start + row], own.before[row], labels_[start + row]});
}

// Takes off the bounds what the centers moved, and opens the tiles for which some lot may have come near enough.
void Assignment::loosen(int64_t block, const Plan& plan, Scratch& own) {
    const int64_t start = block * kBlock;
    std::fill(own.loss, own.loss + own.tiles, 0.0f);
    for (int row = 0; row < own.count; ++row) {
        float& reach = reach_[start + row];
        const float before = reach;
        reach = upper(double(before) + plan.drift[labels_[start + row]]);
        own.loss[row / kTileRows] = std::max(own.loss[row / kTileRows], reach - before);
    }
    for (int group = 0; group < groups_; ++group) {
        float* gap = own.gap + size_t(group) * kTiles;
        const float drift = plan.lot_drift[group] + kRounding;
        for (int tile = 0; tile < own.tiles; ++tile) {
            gap[tile] -= own.loss[tile] + drift;
            own.open[tile] |= !(gap[tile] > 0.0f);
        }
    }
}

// The distance to the own center for the rows of open tiles, and thresholds.
void Assignment::tighten(int64_t block, const Plan& plan, Scratch& own) {
    const int64_t start = block * kBlock;
    for (int tile = 0; tile < own.tiles; ++tile) {
        own.gain[tile] = 0.0f;
        if (!own.open[tile]) continue;
        float gain = std::numeric_limits<float>::infinity();
        for (int row = tile * kTileRows; row < (tile + 1) * kTileRows; ++row) {
            for (auto& least : own.least) least[row] = kNever;
            if (row >= own.count) continue;
            const int64_t place = start + row;
            const float before = reach_[place];
            if (!plan.first) {
                own.before[row] = labels_[place];
                own.squares[row] = codes_.version().square_distance(rows_.at(place), plan.centers->at(labels_[place]),
                                                                    rows_.dimensions);
                ++own.counts.measured;
            }
            change(place, labels_[place], own.squares[row], tile, plan, own);
            const float less = before - reach_[place];
            if (!(less >= gain)) gain = less;
        }
        own.gain[tile] = plan.first ? 0.0f : gain;
    }
    if (plan.first) return;
    for (int group = 0; group < groups_; ++group) {
        float* gap = own.gap + size_t(group) * kTiles;
        for (int tile = 0; tile < own.tiles; ++tile) gap[tile] = std::min(gap[tile] + own.gain[tile], kWidest);
    }
}

// The row at `place` has its nearest center so far in `to`.
void Assignment::change(int64_t place, int32_t to, double square, int64_t tile, const Plan& plan, Scratch& own) {
    const int row = int(place % kBlock);
    const int32_t from = labels_[place];
    const float reach = upper(std::sqrt(square) / codes_.unit());
    if (from != to) {
        float& gap = own.gap[size_t(plan.group_of[from]) * kTiles + tile];
        const float slack = float(lower(std::sqrt(own.squares[row]) / codes_.unit())) - reach;
        if (!(slack >= gap)) gap = slack;
    }
    labels_[place] = to;
    own.squares[row] = square;
    reach_[place] = reach;
    for (int level = 0; level <= kLevels; ++level)
        own.least[level][row] =
            least_score(double(reach) + plan.levels[level] + codes_.errors()[place] + double(plan.error));
}

void Assignment::look_at(int group, int64_t block, const Plan& plan, Scratch& own) {
    float* gap = own.gap + size_t(group) * kTiles;
    int listed = 0;
    for (int tile = 0; tile < own.tiles; ++tile) {
        if (!own.open[tile] || gap[tile] > 0.0f) continue;
        own.packed.need(codes_, tile);
        own.list[listed++] = tile;
    }
    if (listed == 0) return;
    const int64_t first = int64_t(group) * lot(codes_);
    const Probe probe{codes_.scan(own.packed.bytes.data(), block * kBlock, int(kBlock), *plan.centers->codes, first,
                                  own.least[0], never().data()),
                      own.list, listed, own.least[1], kBlock, kLevels, plan.sought, own.clear};
    const int found = codes_.version().probe(probe, own.hits.data());
    for (int at = 0; at < listed; ++at) gap[own.list[at]] = plan.levels[std::max(0, int(own.clear[at]) - 1)];
    for (int at = 0; at < found; ++at) weigh(own.hits[at], group, block, plan, own);
    own.counts.tiles += listed;
    own.counts.hits += found;
}

void Assignment::weigh(const Hit& hit, int group, int64_t block, const Plan& plan, Scratch& own) {
    const Centers& centers = *plan.centers;
    const int64_t place = block * kBlock + hit.row, center = int64_t(group) * lot(codes_) + hit.column;
    const int32_t number = centers.numbers[center];
    if (number == labels_[place]) return;
    const int tile = hit.row / kTileRows;
    double distance = lower(code_distance(hit.score)) - codes_.errors()[place] - centers.codes->errors()[center];
    if (!(distance > reach_[place])) {
        const double square =
            codes_.version().square_distance(rows_.at(place), centers.at(number), rows_.dimensions);
        ++own.counts.measured;
        if (square < own.squares[hit.row] || (square == own.squares[hit.row] && number < labels_[place])) {
            change(place, number, square, tile, plan, own);
            return;
        }
        distance = lower(std::sqrt(square) / codes_.unit());
    }
    float& gap = own.gap[size_t(group) * kTiles + tile];
    const float slack = float(distance - reach_[place]);
    if (!(slack >= gap)) gap = slack;
}

namespace {

// The two nearest centers of the rows of a block.
class TwoNearest {
  public:
    TwoNearest(const Codes& codes, const Rows& rows, const Centers& centers)
        : codes_(codes), rows_(rows), centers_(centers), error_(centers.codes->largest_error(0, centers.codes->count())) {}

    void look(int64_t block, int32_t* labels, double* squares) const;

  private:
    struct Scratch {
        PackedBlock packed;
        Guess guess;
        int32_t labels[kBlock];
        double squares[kBlock], seconds[kBlock];
        int32_t least[kBlock];
        std::vector<Hit> hits;
    };

    void weigh(const Hit& hit, int64_t start, int64_t first, Scratch& own) const;
    int32_t least(int64_t place, double second) const {
        return least_score(std::sqrt(second) / codes_.unit() + codes_.errors()[place] + error_);
    }

    const Codes& codes_;
    const Rows& rows_;
    const Centers& centers_;
    const double error_;
};

void TwoNearest::look(int64_t block, int32_t* labels, double* squares) const {
    static thread_local Scratch own;
    const int64_t start = block * kBlock;
    const int count = int(std::min(kBlock, codes_.count() - start));
    own.packed.open(codes_, block);
    own.hits.resize(size_t(kBlock) * lot(codes_));
    for (int tile = 0; tile < kTiles && start + tile * kTileRows < codes_.padded(); ++tile) own.packed.need(codes_, tile);
    own.guess.find(codes_, rows_, centers_, block, own.packed, own.labels, own.squares);
    std::fill(own.seconds, own.seconds + count, kInfinite);
    std::fill(std::begin(own.least), std::end(own.least), kNever);
    for (int row = 0; row < count; ++row) own.least[row] = kFloor;
    const int rows = (count + kTileRows - 1) / kTileRows * kTileRows;
    for (const int group : own.guess.order()) {
        const int64_t first = int64_t(group) * lot(codes_);
        const int found = codes_.version().scan(
            codes_.scan(own.packed.bytes.data(), start, rows, *centers_.codes, first, own.least, never().data()),
            own.hits.data());
        for (int at = 0; at < found; ++at) weigh(own.hits[at], start, first, own);
    }
    for (int row = 0; row < count; ++row) {
        labels[start + row] = own.labels[row];
        squares[2 * (start + row)] = own.squares[row];
        squares[2 * (start + row) + 1] = own.seconds[row];
    }
}

void TwoNearest::weigh(const Hit& hit, int64_t start, int64_t first, Scratch& own) const {
    const int32_t number = centers_.numbers[first + hit.column];
    if (hit.score < own.least[hit.row] || number == own.labels[hit.row]) return;
    const int64_t place = start + hit.row;
    const double square = codes_.version().square_distance(rows_.at(place), centers_.at(number), rows_.dimensions);
    const double best = own.squares[hit.row];
    if (square < best || (square == best && number < own.labels[hit.row])) {
        own.labels[hit.row] = number;
        own.squares[hit.row] = square;
        own.seconds[hit.row] = best;
    } else if (square < own.seconds[hit.row]) {
        own.seconds[hit.row] = square;
    } else {
        return;
    }
    own.least[hit.row] = least(place, own.seconds[hit.row]);
}

}  // namespace

void nearest_two(const Codes& codes, Rows rows, const Centers& centers, const Control& control, int32_t* labels,
                 double* squares) {
    const TwoNearest search(codes, rows, centers);
    parallel_for(codes.blocks(), control, [&](int64_t block, int) { search.look(block, labels, squares); });
}

}  // namespace shoal
