// Own threads for one call: no pool that outlives it, no OpenMP to clash with somebody else's.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace shoal {

// How a long call is watched. The calling thread works too and calls `tick` with the fraction done about ten times a
// second; a tick that throws stops all threads, and what it threw leaves the call.
struct Control {
    int threads = 1;
    std::function<void(double)> tick;
    // The part of the whole that a single parallel_for accounts for.
    double start = 0.0;
    double stop = 1.0;

    Control part(double from, double to) const {
        Control control = *this;
        control.start = start + (stop - start) * from;
        control.stop = start + (stop - start) * to;
        return control;
    }
};

// Calls work(index, thread) for each index below count, in any order, on control.threads threads.
template <class Work>
void parallel_for(int64_t count, const Control& control, Work&& work) {
    std::atomic<int64_t> next{0}, done{0};
    std::atomic<bool> stopped{false};
    std::exception_ptr failure;
    std::mutex mutex;
    const auto fail = [&] {
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
        stopped.store(true, std::memory_order_relaxed);
    };
    const auto loop = [&](int thread) {
        auto last = std::chrono::steady_clock::now();
        try {
            for (;;) {
                const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
                if (index >= count || stopped.load(std::memory_order_relaxed)) return;
                work(index, thread);
                done.fetch_add(1, std::memory_order_relaxed);
                if (thread != 0 || !control.tick) continue;
                const auto now = std::chrono::steady_clock::now();
                if (now - last < std::chrono::milliseconds(100)) continue;
                last = now;
                const double fraction = double(done.load(std::memory_order_relaxed)) / double(count);
                control.tick(control.start + (control.stop - control.start) * fraction);
            }
        } catch (...) {
            fail();
        }
    };
    const int64_t most = std::min<int64_t>(std::max(control.threads, 1), count);
    std::vector<std::thread> others;
    try {
        for (int64_t thread = 1; thread < most; ++thread) others.emplace_back(loop, int(thread));
    } catch (const std::system_error&) {
        // The system has no room for the thread's stack. Whoever limits memory asks for this answer.
        stopped.store(true, std::memory_order_relaxed);
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::make_exception_ptr(std::bad_alloc());
    } catch (...) {
        fail();
    }
    loop(0);
    for (auto& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace shoal
