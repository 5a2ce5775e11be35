// Work in parts, one for each thread. A draw depends on its address alone, so the parts need not know of each other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace dropkit {

// Starting and joining a thread takes 28 us, the time of some 65,000 entries: below this it saves too little.
constexpr std::int64_t least_part = std::int64_t{1} << 17;

template <class Work>
void in_parts(std::int64_t entries, int threads, Work work) {
    const std::int64_t count = std::max<std::int64_t>(1, std::min<std::int64_t>(threads, entries / least_part));
    const std::int64_t size = (entries / count + 63) / 64 * 64;  // whole tiles where the first group starts one
    std::vector<std::thread> others;
    for (std::int64_t part = 1; part < count; ++part)
        others.emplace_back(work, part * size, part + 1 == count ? entries : (part + 1) * size);
    work(std::int64_t{0}, count == 1 ? entries : size);
    for (std::thread &other : others) other.join();
}

// Tasks of unequal length, handed out one after another.
template <class Work>
void in_tasks(std::int64_t tasks, int threads, Work work) {
    std::atomic<std::int64_t> next{0};
    const auto some = [&] {
        for (std::int64_t task = next++; task < tasks; task = next++) work(task);
    };
    std::vector<std::thread> others;
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, tasks); ++i) others.emplace_back(some);
    some();
    for (std::thread &other : others) other.join();
}

}  // namespace dropkit
