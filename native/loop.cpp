// Compiled once for each instruction set. DROPKIT_LOOPS names the table to fill, DROPKIT_INSTRUCTIONS the set.
#include "loop.hpp"

namespace dropkit {
namespace {

template <class T>
void two_point(const Layout &layout, const Coin &coin, const TwoPoint &noise, const T *x, T *out, std::int64_t begin,
               std::int64_t end) {
    if (noise.shift == 0)
        walk(layout, coin, begin, end, Apply<T, false>(x, out, noise));
    else
        walk(layout, coin, begin, end, Apply<T, true>(x, out, noise));
}

void dropped(const Layout &layout, const Coin &coin, std::uint8_t *out, std::int64_t begin, std::int64_t end) {
    walk(layout, coin, begin, end, Record{out});
}

}  // namespace

const Loops DROPKIT_LOOPS = {DROPKIT_INSTRUCTIONS, two_point<float>, two_point<double>, dropped};

}  // namespace dropkit
