#include "layout.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "mixing.hpp"

namespace shoal {
namespace {

constexpr int64_t kSmall = 4096;  // vertices below which a second thread does not pay off
constexpr int64_t kLarge = 1 << 18;  // vertices from which a round is long enough to report progress

// Every sum has a fixed order that the vectoriser must preserve, so the NumPy reference has the same bits.
template <int components>
class Layout {
  public:
    Layout(const LayoutGraph& graph, const LayoutForces& forces, const LayoutSchedule& schedule, float* places)
        : graph_(graph), forces_(forces), schedule_(schedule), places_(places),
          home_(places, places + components * graph.count), next_(home_), speed_(home_.size(), 0.0f) {}

    void run(const Control& control) {
        const int64_t blocks = (graph_.count + kLayoutBlock - 1) / kLayoutBlock;
        Control own = control;
        if (graph_.count < kSmall) own.threads = 1;
        if (graph_.count < kLarge) own.tick = nullptr;
        Ticker ticker(control);
        float* from = places_;
        float* to = next_.data();
        for (int64_t round = 0; round < schedule_.rounds; ++round) {
            const double begun = double(round) / double(schedule_.rounds);
            const float rate = schedule_.rate + (schedule_.last_rate - schedule_.rate) * float(begun);
            const double ended = double(round + 1) / double(schedule_.rounds);
            parallel_for(blocks, own.part(begun, ended), [&](int64_t block, int) { step(block, round, rate, from, to); });
            std::swap(from, to);
            ticker.at(ended);
        }
        if (from != places_) std::copy(next_.begin(), next_.end(), places_);
    }

  private:
    using Sums = std::array<std::array<float, kLayoutBlock>, components>;

    void step(int64_t block, int64_t round, float rate, const float* from, float* to) {
        const int64_t first = block * kLayoutBlock, last = std::min(first + kLayoutBlock, graph_.count);
        Sums force;
        repel(first, last, block, round, from, force);
        attract(first, last, from, force);
        move(first, last, rate, from, to, force);
    }

    void repel(int64_t first, int64_t last, int64_t block, int64_t round, const float* from, Sums& force) const {
        const int64_t count = graph_.count, size = last - first, sample = std::min(forces_.sample, count);
        for (auto& sums : force) sums.fill(0.0f);
        const uint64_t draw = mixed(schedule_.seed + mixed(uint64_t(round) * kMixingStep + uint64_t(block)));
        int64_t other = int64_t(draw % uint64_t(count));
        const float steepness = forces_.steepness, softness = forces_.softness;
        for (int64_t taken = 0; taken < sample; ++taken, other = other + 1 == count ? 0 : other + 1) {
            float there[components];
            for (int c = 0; c < components; ++c) there[c] = from[c * count + other];
            const float mass = graph_.mass[other];
            for (int64_t at = 0; at < size; ++at) {
                float gap[components];
                for (int c = 0; c < components; ++c) gap[c] = from[c * count + first + at] - there[c];
                float square = gap[0] * gap[0];
                for (int c = 1; c < components; ++c) square = square + gap[c] * gap[c];
                const float push = mass / ((softness + square) * (1.0f + steepness * square));
                for (int c = 0; c < components; ++c) force[c][at] += push * gap[c];
            }
        }
        const float share = forces_.repulsion / float(sample);
        for (auto& sums : force)
            for (int64_t at = 0; at < size; ++at) sums[at] *= share;
    }

    void attract(int64_t first, int64_t last, const float* from, Sums& force) const {
        const int64_t count = graph_.count;
        const float steepness = forces_.steepness;
        for (int64_t v = first; v < last; ++v) {
            float here[components], sum[components] = {};
            for (int c = 0; c < components; ++c) here[c] = from[c * count + v];
            for (int64_t at = graph_.start[v]; at < graph_.start[v + 1]; ++at) {
                const int64_t other = graph_.to[at];
                float gap[components];
                for (int c = 0; c < components; ++c) gap[c] = from[c * count + other] - here[c];
                float square = gap[0] * gap[0];
                for (int c = 1; c < components; ++c) square = square + gap[c] * gap[c];
                const float pull = graph_.pull[at] / (1.0f + steepness * square);
                for (int c = 0; c < components; ++c) sum[c] += pull * gap[c];
            }
            for (int c = 0; c < components; ++c) force[c][v - first] += steepness * sum[c];
        }
    }

    void move(int64_t first, int64_t last, float rate, const float* from, float* to, const Sums& force) {
        const int64_t count = graph_.count;
        for (int64_t v = first; v < last; ++v) {
            float away[components], square = 0.0f;
            for (int c = 0; c < components; ++c) {
                float& speed = speed_[c * count + v];
                speed = schedule_.momentum * speed + rate * force[c][v - first];
                away[c] = (from[c * count + v] + speed) - home_[c * count + v];
                square = square + away[c] * away[c];
            }
            const float reach = graph_.reach[v];
            const bool beyond = !(square <= reach * reach);
            const float kept = beyond ? reach / std::sqrt(square) : 1.0f;
            for (int c = 0; c < components; ++c) {
                const int64_t place = c * count + v;
                to[place] = beyond ? home_[place] + kept * away[c] : from[place] + speed_[place];
            }
        }
    }

    const LayoutGraph& graph_;
    const LayoutForces& forces_;
    const LayoutSchedule& schedule_;
    float* places_;
    const std::vector<float> home_;
    std::vector<float> next_, speed_;
};

}  // namespace

void lay_out(const LayoutGraph& graph, const LayoutForces& forces, const LayoutSchedule& schedule, int components,
             const Control& control, float* places) {
    if (graph.count == 0) return;
    if (components == 2)
        Layout<2>(graph, forces, schedule, places).run(control);
    else
        Layout<3>(graph, forces, schedule, places).run(control);
}

}  // namespace shoal
