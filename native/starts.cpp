#include "starts.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "scan_room.hpp"

namespace shoal {
namespace {

constexpr int64_t kStretch = 1024;  // rows per piece of work
constexpr double kInfinite = std::numeric_limits<double>::infinity();

struct Nearer {
    int32_t trial, place;
    double square;
};

class Spread {
  public:
    Spread(const Codes& codes, Rows rows, int trials);

    void choose(int64_t row);                   // the first
    int64_t next(const double* draws, int threads);

  private:
    struct Part {
        std::vector<Nearer> found;
        std::vector<double> gains;
        std::vector<Hit> hits;
    };

    double sum_up();
    void draw(const double* draws, double total);
    void pack();
    void look(int64_t start, Part& part) const;
    void try_pair(int trial, int64_t place, Part& part) const;
    void keep(int64_t place, double square);
    const float* values(int64_t place) const { return rows_.values + place * rows_.dimensions; }
    void fetch(int64_t place) const {
        for (int64_t at = 0; at < rows_.dimensions; at += 16) __builtin_prefetch(values(place) + at);
    }
    double quantum(double largest) const;

    const Codes& codes_;
    const Rows rows_;
    const int trials_, padded_trials_;
    float error_;                 // of the codes of nearly all rows; the others are compared without codes
    std::vector<int64_t> place_;  // of each row
    std::vector<double> closest_, sums_;  // by row
    std::vector<int32_t> least_;          // by place
    std::vector<int64_t> drawn_;          // rows
    std::vector<uint8_t> packed_, panel_;
    std::vector<int32_t> halves_, never_;
    std::vector<Part> parts_;
    double shift_ = 0.0;  // adding and subtracting it rounds to a multiple of the quantum
};

Spread::Spread(const Codes& codes, Rows rows, int trials)
    : codes_(codes), rows_(rows), trials_(trials), padded_trials_((trials + kTileRows - 1) / kTileRows * kTileRows),
      place_(codes.count()), closest_(codes.count(), kInfinite), sums_(codes.count()), least_(codes.padded(), kNever),
      drawn_(trials), never_(padded_trials_, kNever), parts_((codes.count() + kStretch - 1) / kStretch) {
    for (int64_t place = 0; place < codes.count(); ++place) place_[rows.order[place]] = place;
    error_ = codes.largest_error(0, codes.count(), codes.common_error());
    const size_t tile_bytes = size_t(codes.stages().groups()) * kTileRows * kGroup;
    packed_.assign(tile_bytes * (padded_trials_ / kTileRows), 0);
    panel_.resize(tile_bytes * (kPanel / kTileRows));
    halves_.assign(size_t(codes.stages().count) * padded_trials_, kPadding);
}

void Spread::keep(int64_t place, double square) {
    closest_[rows_.order[place]] = square;
    least_[place] = least_score(std::sqrt(square) / codes_.unit() + codes_.errors()[place] + double(error_));
}

void Spread::choose(int64_t row) {
    for (int64_t place = 0; place < codes_.count(); ++place)
        keep(place, codes_.version().square_distance(values(place), values(place_[row]), rows_.dimensions));
}

double Spread::sum_up() {
    double sum = 0.0, largest = 0.0;
    for (size_t row = 0; row < closest_.size(); ++row) {
        sums_[row] = sum += closest_[row];
        largest = std::max(largest, closest_[row]);
    }
    shift_ = quantum(largest) * 6755399441055744.0;  // 1.5 * 2^52
    return sum;
}

// A power of two so coarse that sums of its multiples, none larger than `largest`, are exact.
double Spread::quantum(double largest) const {
    int exponent = 0, crowd = 0;
    std::frexp(largest, &exponent);
    while ((codes_.count() - 1) >> crowd >= (int64_t(1) << 22)) ++crowd;
    return std::ldexp(1.0, std::max(exponent - 30 + crowd, -1021));
}

void Spread::draw(const double* draws, double total) {
    for (int trial = 0; trial < trials_; ++trial) {
        const auto found = std::upper_bound(sums_.begin(), sums_.end(), draws[trial] * total) - sums_.begin();
        drawn_[trial] = std::min<int64_t>(found, codes_.count() - 1);
    }
}

// The codes of the candidate rows as rows of a scan.
void Spread::pack() {
    const int64_t tile_bytes = int64_t(codes_.stages().groups()) * kTileRows * kGroup;
    for (int trial = 0; trial < trials_; ++trial) {
        const int64_t place = place_[drawn_[trial]], panel = place / kPanel * kPanel;
        codes_.pack(panel, panel + kPanel, panel_.data());
        const uint8_t* source = panel_.data() + (place - panel) / kTileRows * tile_bytes + place % kTileRows * kGroup;
        uint8_t* target = packed_.data() + trial / kTileRows * tile_bytes + trial % kTileRows * kGroup;
        for (int64_t at = 0; at < tile_bytes; at += kTileRows * kGroup) std::memcpy(target + at, source + at, kGroup);
        const Scan own = codes_.scan(nullptr, place, 0, 0, nullptr, nullptr);
        for (int stage = 0; stage < codes_.stages().count; ++stage)
            halves_[stage * padded_trials_ + trial] = own.row_half[stage * own.row_half_stride];
    }
}

void Spread::try_pair(int trial, int64_t place, Part& part) const {
    const int64_t row = rows_.order[place], drawn = place_[drawn_[trial]];
    const bool far = codes_.errors()[place] > error_ || codes_.errors()[drawn] > error_;
    if (far && codes_.lengths_apart(place, drawn, std::sqrt(closest_[row]) / codes_.unit() * (1 + 1e-6))) return;
    const double square =
        codes_.version().square_distance(values(place), values(drawn), rows_.dimensions);
    if (!(square < closest_[row])) return;
    part.gains[trial] += ((closest_[row] - square) + shift_) - shift_;
    part.found.push_back({trial, int32_t(place), square});
}

void Spread::look(int64_t start, Part& part) const {
    const int step = codes_.version().panels_a_call * kPanel;
    part.found.clear();
    part.gains.assign(trials_, 0.0);
    part.hits.resize(size_t(padded_trials_) * step);
    const int64_t end = std::min(start + kStretch, codes_.count());
    for (int64_t at = start; at < end; at += step) {
        Scan scan = codes_.scan(packed_.data(), 0, padded_trials_, at, never_.data(), least_.data() + at);
        scan.row_half = halves_.data();
        scan.row_half_stride = padded_trials_;
        const int found = codes_.version().scan(scan, part.hits.data());
        for (int hit = 0; hit < found; ++hit) {
            if (hit + 2 < found) fetch(at + part.hits[hit + 2].column);
            if (part.hits[hit].row < trials_ && at + part.hits[hit].column < end)
                try_pair(part.hits[hit].row, at + part.hits[hit].column, part);
        }
    }
}

int64_t Spread::next(const double* draws, int threads) {
    draw(draws, sum_up());
    pack();
    // A row far outside the range of the codes is compared with all others, and its hits are not counted twice.
    std::vector<int> beyond;
    for (int trial = 0; trial < trials_; ++trial)
        if (codes_.errors()[place_[drawn_[trial]]] > error_) beyond.push_back(trial);
    Control control;
    control.threads = threads;
    parallel_for(int64_t(parts_.size()), control, [&](int64_t at, int) {
        Part& part = parts_[at];
        look(at * kStretch, part);
        if (beyond.empty()) return;
        const auto is_beyond = [&](int trial) { return std::count(beyond.begin(), beyond.end(), trial) > 0; };
        std::erase_if(part.found, [&](const Nearer& own) { return is_beyond(own.trial); });
        for (const int trial : beyond) {
            part.gains[trial] = 0.0;
            for (int64_t place = at * kStretch; place < std::min((at + 1) * kStretch, codes_.count()); ++place)
                try_pair(trial, place, part);
        }
    });
    std::vector<double> gains(trials_, 0.0);
    for (const Part& part : parts_)
        for (int trial = 0; trial < trials_; ++trial) gains[trial] += part.gains[trial];
    const int best = int(std::max_element(gains.begin(), gains.end()) - gains.begin());
    for (const Part& part : parts_)
        for (const Nearer& own : part.found)
            if (own.trial == best) keep(own.place, own.square);
    return drawn_[best];
}

}  // namespace

void spread_starts(const Codes& codes, Rows rows, int64_t wanted, int64_t first, const double* draws, int trials,
                   const Control& control, int64_t* chosen) {
    Spread spread(codes, rows, trials);
    spread.choose(first);
    chosen[0] = first;
    // For a short pass the calling thread is faster alone.
    const int threads = codes.count() < 4 * kStretch ? 1 : control.threads;
    Ticker ticker(control);
    for (int64_t at = 1; at < wanted; ++at) {
        chosen[at] = spread.next(draws + (at - 1) * trials, threads);
        ticker.at(double(at) / double(wanted));
    }
}

}  // namespace shoal
