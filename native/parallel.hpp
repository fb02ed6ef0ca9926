// Threads for one call: no pool that outlives it, no OpenMP to clash with that of other libraries.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace shoal {

// Progress and cancellation of a long call. The calling thread does none of the work: about ten times a second, however
// long a piece takes, it calls `tick` with the fraction done. A tick that throws stops all threads after their current
// piece, and its exception propagates. Without a tick the calling thread works too.
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

constexpr std::chrono::milliseconds kTickEvery{100};

// Calls a tick from a loop of short iterations, about ten times a second.
class Ticker {
  public:
    explicit Ticker(const Control& control) : control_(control) {}
    void at(double fraction) {
        const auto now = std::chrono::steady_clock::now();
        if (!control_.tick || now - last_ < kTickEvery) return;
        last_ = now;
        control_.tick(control_.start + (control_.stop - control_.start) * fraction);
    }

  private:
    const Control& control_;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Calls work(index, thread) for each index below count, in any order, on control.threads threads.
template <class Work>
void parallel_for(int64_t count, const Control& control, Work&& work) {
    std::atomic<int64_t> next{0}, done{0};
    std::atomic<bool> stopped{false};
    std::exception_ptr failure;
    std::mutex mutex;
    std::condition_variable ended;
    int64_t running = 0;
    const auto fail = [&](std::exception_ptr reason) {
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::move(reason);
        stopped.store(true, std::memory_order_relaxed);
    };
    const auto loop = [&](int thread) {
        try {
            for (;;) {
                const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
                if (index >= count || stopped.load(std::memory_order_relaxed)) return;
                work(index, thread);
                done.fetch_add(1, std::memory_order_relaxed);
            }
        } catch (...) {
            fail(std::current_exception());
        }
    };
    const auto loop_and_end = [&](int thread) {
        loop(thread);
        std::lock_guard<std::mutex> lock(mutex);
        --running;
        ended.notify_one();
    };
    const auto watch = [&] {
        std::unique_lock<std::mutex> lock(mutex);
        while (!ended.wait_for(lock, kTickEvery, [&] { return running == 0; })) {
            if (failure) continue;
            lock.unlock();
            const double fraction = double(done.load(std::memory_order_relaxed)) / double(count);
            try {
                control.tick(control.start + (control.stop - control.start) * fraction);
            } catch (...) {
                fail(std::current_exception());
            }
            lock.lock();
        }
    };
    const bool watched = bool(control.tick);
    const int64_t most = std::min<int64_t>(std::max(control.threads, 1), count);
    std::vector<std::thread> others;
    try {
        for (int64_t thread = watched ? 0 : 1; thread < most; ++thread) {
            {
                std::lock_guard<std::mutex> lock(mutex);
                ++running;
            }
            try {
                others.emplace_back(loop_and_end, int(thread));
            } catch (...) {
                std::lock_guard<std::mutex> lock(mutex);
                --running;
                throw;
            }
        }
    } catch (const std::system_error&) {
        // The system could not allocate the thread's stack. Callers that limit memory expect bad_alloc.
        fail(std::make_exception_ptr(std::bad_alloc()));
    } catch (...) {
        fail(std::current_exception());
    }
    if (watched)
        watch();
    else
        loop(0);
    for (auto& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace shoal
