// Places for the vertices of a weighted graph: neighbours attract each other, all vertices repel each other.
#pragma once

#include <cstdint>

#include "parallel.hpp"

namespace shoal {

// Neighbours of vertex v are to[start[v]..start[v + 1]); `pull` is the share of each in v's attraction.
struct LayoutGraph {
    int64_t count;
    const int64_t* start;
    const int32_t* to;
    const float* pull;
    const float* mass;   // how strongly each vertex repels, 1 on average
    const float* reach;  // maximum distance of each vertex from its start; 0 fixes it, infinity is no limit
};

struct LayoutForces {
    float steepness;   // a in the likelihood 1 / (1 + a d^2) of two vertices a distance d apart being neighbours
    float repulsion;   // of all others together, relative to the attraction of all neighbours
    float softness;    // squared distance below which repulsion no longer grows
    int64_t sample;    // others that repel a vertex in each round
};

struct LayoutSchedule {
    int64_t rounds;
    float rate, last_rate;  // step lengths of the first and the last round, decreasing linearly
    float momentum;
    uint64_t seed;
};

constexpr int64_t kLayoutBlock = 256;  // vertices that share a sample of repelling vertices

// Moves the vertices, places (components, count), components 2 or 3. All move simultaneously in each round, based on
// the previous places: the result does not depend on the number of threads.
void lay_out(const LayoutGraph& graph, const LayoutForces& forces, const LayoutSchedule& schedule, int components,
             const Control& control, float* places);

}  // namespace shoal
