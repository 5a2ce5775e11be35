// The loops, once for each instruction set, and the choice among them.
#pragma once

#include <tuple>
#include <vector>

#include "continuous.hpp"

namespace dropkit {

template <class T>
using TwoPointLoop = void (*)(const Layout &, const Coin &, const TwoPoint &, const T *x, T *out, std::int64_t begin,
                              std::int64_t end);
template <class T>
using ContinuousLoop = void (*)(const Layout &, const Coin &, const Continuous &, const T *x, T *out, std::int64_t begin,
                                std::int64_t end);
// u, or the second uniform, of `count` groups that follow one another.
using DrawLoop = void (*)(const Coin &, std::uint64_t start, std::int64_t count, std::int64_t *out);
using DroppedLoop = void (*)(const Layout &, const Coin &, std::uint8_t *out, std::int64_t begin, std::int64_t end);

// Each loop writes the entries [begin, end), which may be any part of the layout's.
struct Loops {
    const char *instructions;
    std::tuple<TwoPointLoop<float>, TwoPointLoop<double>, TwoPointLoop<Half>, TwoPointLoop<BFloat>> two_point;
    std::tuple<ContinuousLoop<float>, ContinuousLoop<double>, ContinuousLoop<Half>, ContinuousLoop<BFloat>> continuous;
    DroppedLoop dropped;
    DrawLoop uniform, second;
};

extern const Loops loops_plain, loops_avx2, loops_avx512;

// The sets that this machine can run, the fastest first.
inline std::vector<const Loops *> usable_loops() {
    std::vector<const Loops *> usable{&loops_plain};
#if defined(DROPKIT_AVX2)
    if (__builtin_cpu_supports("avx2")) usable.insert(usable.begin(), &loops_avx2);
    if (__builtin_cpu_supports("avx512f")) usable.insert(usable.begin(), &loops_avx512);
#endif
    return usable;
}

}  // namespace dropkit
