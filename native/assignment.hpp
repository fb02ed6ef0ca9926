// The nearest of k centers for each row, exactly: codes rule out candidates, float64 distances decide.
#pragma once

#include <cstdint>
#include <vector>

#include "codes.hpp"
#include "neighbors.hpp"

namespace shoal {

// Centers in code order: position p of `codes` is center numbers[p], with coordinates values[numbers[p]], float32 (k,
// dimensions). Centers that share a lot of panels should be near each other.
struct Centers {
    const Codes* codes;
    const float* values;
    int64_t dimensions;
    const int32_t* numbers;
    const float* at(int32_t number) const { return values + int64_t(number) * dimensions; }
};

struct Move {
    int32_t row;  // in the original order of the rows
    int32_t from, to;
};

struct StepCounts {
    int64_t tiles = 0;     // pairs of four rows and a lot of centers that were processed
    int64_t hits = 0;      // pairs that passed the scan
    int64_t measured = 0;  // distances computed in float64
};

// Nearest centers through the steps of a k-means. Between steps it stores for each row an upper bound of the distance
// to its center, and for each row and lot of centers a lower bound of how much farther all of these centers are, except
// the row's own. Both bounds are loosened by the movement of the centers, and a lot that is still farther is skipped
// (Yinyang k-means, Ding and others 2015).
class Assignment {
  public:
    // `codes` and `rows` must outlive it. `kept_bytes` limits the memory of the bounds per lot.
    Assignment(const Codes& codes, Rows rows, int64_t center_count, int64_t kept_bytes);

    // The nearest center of each row, ties by number. `drift` (k) is the movement of each center since the last step,
    // null at the first. Later steps must keep the positions of the centers. Returns the rows that changed their
    // center, sorted by row; from -1 at the first step.
    std::vector<Move> step(const Centers& centers, const double* drift, const Control& control, StepCounts& counts);

    // By position.
    const std::vector<int32_t>& labels() const { return labels_; }

  private:
    struct Plan;
    struct Scratch;
    static Scratch& scratch();
    Plan plan(const Centers& centers, const double* drift) const;
    void look(int64_t block, const Plan& plan, Scratch& own);
    void loosen(int64_t block, const Plan& plan, Scratch& own);
    void tighten(int64_t block, const Plan& plan, Scratch& own);
    double own_square(int64_t place, const Plan& plan, Scratch& own) const;
    void set_thresholds(int64_t place, const Plan& plan, Scratch& own) const;
    void fetch(int64_t place) const;
    void look_at(int group, int64_t block, const Plan& plan, Scratch& own);
    void weigh(int64_t place, int64_t center, double distance, const Plan& plan, Scratch& own);
    void change(int64_t place, int32_t to, double square, const Plan& plan, Scratch& own);

    const Codes& codes_;
    Rows rows_;
    int groups_;
    bool kept_;
    std::vector<int32_t> labels_;
    std::vector<float> reach_;  // upper bound of the distance to the own center, in code units
    std::vector<float> gaps_;   // [block][group][row]
};

// The nearest and second nearest center of each row from scratch: labels (count) by position, squares (count, 2), the
// second infinite if there is one center.
void nearest_two(const Codes& codes, Rows rows, const Centers& centers, const Control& control, int32_t* labels,
                 double* squares);

}  // namespace shoal
