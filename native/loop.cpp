// Compiled once for each instruction set. DROPKIT_LOOPS names the table to fill, DROPKIT_INSTRUCTIONS the set.
#include "loop.hpp"

#include <algorithm>

namespace dropkit {
namespace {

template <class T>
void two_point(const Layout &layout, const Coin &coin, const TwoPoint &noise, const T *x, T *out, std::int64_t begin,
               std::int64_t end) {
    const std::int64_t from = last_from(layout), to = last_to(layout);
    const bool dense = from == 1 && to == 1;
    if (noise.shift == 0 && dense)
        walk(layout, coin, begin, end, Apply<T, false, true>(x, out, noise, from, to));
    else if (noise.shift == 0)
        walk(layout, coin, begin, end, Apply<T, false, false>(x, out, noise, from, to));
    else if (dense)
        walk(layout, coin, begin, end, Apply<T, true, true>(x, out, noise, from, to));
    else
        walk(layout, coin, begin, end, Apply<T, true, false>(x, out, noise, from, to));
}

template <class T>
void continuous(const Layout &layout, const Coin &coin, const Continuous &noise, const T *x, T *out,
                std::int64_t begin, std::int64_t end) {
    const std::int64_t from = last_from(layout), to = last_to(layout);
    if (from == 1 && to == 1)
        walk_factors(layout, coin, noise, begin, end, Multiply<T, true>{x, out, from, to});
    else
        walk_factors(layout, coin, noise, begin, end, Multiply<T, false>{x, out, from, to});
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

const Loops DROPKIT_LOOPS = {DROPKIT_INSTRUCTIONS,
                              {two_point<float>, two_point<double>, two_point<Half>, two_point<BFloat>},
                              {continuous<float>, continuous<double>, continuous<Half>, continuous<BFloat>},
                              dropped,
                              draw<tile_size, &Decider::uniform>, draw<second_tile_size, &Decider::second>};

}  // namespace dropkit
