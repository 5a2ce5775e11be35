// Compiled once for each instruction set. DROPKIT_LOOPS names the table to fill, DROPKIT_INSTRUCTIONS the set.
#include "loop.hpp"

#include <algorithm>

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

// Draws whole tiles and keeps what the run covers of each.
template <int size, void (Decider::*tile)(std::uint64_t, std::int64_t *) const>
void draw(const Coin &coin, std::uint64_t start, std::int64_t count, std::int64_t *out) {
    const Decider decider(coin);
    for (std::int64_t done = 0; done < count;) {
        std::int64_t drawn[size];
        (decider.*tile)((start + done) / size, drawn);
        const auto skip = static_cast<std::int64_t>((start + done) % size);
        const std::int64_t taken = std::min<std::int64_t>(size - skip, count - done);
        std::copy_n(drawn + skip, taken, out + done);
        done += taken;
    }
}

}  // namespace

const Loops DROPKIT_LOOPS = {DROPKIT_INSTRUCTIONS, two_point<float>, two_point<double>, dropped,
                              draw<tile_size, &Decider::uniform>, draw<second_tile_size, &Decider::second>};

}  // namespace dropkit
