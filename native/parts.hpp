// Work in parts, one for each thread. A draw depends on its address alone, so the parts need not know of each other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

namespace dropkit {

// Entries worth a thread of their own; PyTorch's own grain.
constexpr std::int64_t least_part = std::int64_t{1} << 15;

using Parallel = void (*)(void (*)(void *), void *, unsigned, unsigned);

// PyTorch's own team of threads, where it is loaded and has one: a second one would fight it for the cores, since its
// threads wait for work in a loop. Asked of PyTorch's library, for other libraries may have brought teams of theirs.
inline Parallel team_of_torch() {
#if !defined(DROPKIT_OWN_THREADS) && (defined(__unix__) || defined(__APPLE__))
    static std::atomic<Parallel> known{nullptr};
    if (const Parallel found = known) return found;
    for (const char *name : {"libtorch_cpu.so", "libtorch_cpu.dylib"})
        if (void *torch = dlopen(name, RTLD_LAZY | RTLD_NOLOAD)) {
            known = reinterpret_cast<Parallel>(dlsym(torch, "GOMP_parallel"));
            dlclose(torch);
        }
    return known;
#else
    return nullptr;
#endif
}

// The same call on each of so many threads, or fewer.
template <class Work>
void on_threads(int threads, Work work) {
    if (threads <= 1) return work();
    if (const Parallel team = team_of_torch())
        return team([](void *each) { (*static_cast<Work *>(each))(); }, &work, static_cast<unsigned>(threads), 0);
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back([&work] { work(); });
    work();
    for (std::thread &other : others) other.join();
}

// Tasks of unequal length, handed out one after another.
template <class Work>
void in_tasks(std::int64_t tasks, int threads, Work work) {
    std::atomic<std::int64_t> next{0};
    on_threads(static_cast<int>(std::min<std::int64_t>(threads, tasks)), [&] {
        for (std::int64_t task = next++; task < tasks; task = next++) work(task);
    });
}

template <class Work>
void in_parts(std::int64_t entries, int threads, Work work) {
    const std::int64_t count = std::max<std::int64_t>(1, std::min<std::int64_t>(threads, entries / least_part));
    const std::int64_t size = (entries / count + 63) / 64 * 64;  // whole tiles where the first group starts one
    in_tasks(count, threads, [&](std::int64_t part) {
        work(part * size, part + 1 == count ? entries : (part + 1) * size);
    });
}

}  // namespace dropkit
