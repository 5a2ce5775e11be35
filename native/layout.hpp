// Which group each entry belongs to and where it lies, as core/walk.py has it, and the walks over it.
#pragma once

#include "noise.hpp"

namespace dropkit {

// The group of the entry at index (i_0, i_1, ...) is base + sum of i_k * strides[k]. A stride of 0 shares coins. The
// entry lies at the sum of i_k * from[k] in x, and of i_k * to[k] in out.
struct Layout {
    static constexpr int max_axes = 16;  // after merging, where alternate axes differ in kind
    int axes;                            // at least 1
    std::int64_t sizes[max_axes], strides[max_axes], from[max_axes], to[max_axes];
    std::uint64_t base;
    std::int64_t entries;
};

namespace {

inline std::int64_t last_size(const Layout &layout) { return layout.sizes[layout.axes - 1]; }
inline std::int64_t last_stride(const Layout &layout) { return layout.strides[layout.axes - 1]; }

inline std::int64_t last_from(const Layout &layout) { return layout.from[layout.axes - 1]; }
inline std::int64_t last_to(const Layout &layout) { return layout.to[layout.axes - 1]; }

// Walks the rows of the last axis, or the entries if all axes are asked for: the group of each, its place in x and out.
class Odometer {
  public:
    inline Odometer(const Layout &layout, int axes, std::int64_t position) : layout(layout), axes(axes) {
        group = layout.base;
        for (int k = axes - 1; k >= 0; --k) {
            index[k] = position % layout.sizes[k];
            position /= layout.sizes[k];
            move(k, index[k]);
        }
    }

    inline void next() {
        for (int k = axes - 1; k >= 0; --k) {
            move(k, 1);
            if (++index[k] < layout.sizes[k]) return;
            move(k, -layout.sizes[k]);
            index[k] = 0;
        }
    }

    std::uint64_t group;
    std::int64_t from = 0, to = 0;

  private:
    inline void move(int k, std::int64_t steps) {
        group += static_cast<std::uint64_t>(steps * layout.strides[k]);
        from += steps * layout.from[k];
        to += steps * layout.to[k];
    }

    const Layout &layout;
    int axes;
    std::int64_t index[Layout::max_axes];
};

// Calls row(group of its first entry, the sink there, count) for each row, or part of a row, in [begin, end).
template <class Sink, class Row>
inline void each_row(const Layout &layout, std::int64_t begin, std::int64_t end, const Sink &sink, Row row) {
    const std::int64_t size = last_size(layout);
    Odometer at(layout, layout.axes - 1, begin / size);
    for (std::int64_t skipped = begin % size; begin < end; skipped = 0, at.next()) {
        const std::int64_t left = end - begin, count = size - skipped < left ? size - skipped : left;
        row(at.group + static_cast<std::uint64_t>(skipped * last_stride(layout)),
            sink.at(at.from + skipped * last_from(layout), at.to + skipped * last_to(layout)), count);
        begin += count;
    }
}

// Groups that follow one another: whole tiles, with a part of one at either end.
template <class Sink>
inline void run(const Decider &decider, std::uint64_t group, std::int64_t at, std::int64_t count, const Sink &sink) {
    constexpr int several = tiles_at_once * tile_size;
    alignas(64) Mask dropped[several];
    while (count > 0) {
        if (tiles_at_once > 1 && count >= several && group % several == 0) {
            decider.tile<tiles_at_once>(group / tile_size, dropped);
            sink.several(at, dropped, several);
            group += several, at += several, count -= several;
            continue;
        }
        const int first = static_cast<int>(group % tile_size);
        const int take = count < tile_size - first ? static_cast<int>(count) : tile_size - first;
        decider.tile(group / tile_size, dropped);
        if (take == tile_size)
            sink.several(at, dropped, tile_size);
        else
            sink.several(at, dropped + first, take);
        group += static_cast<std::uint64_t>(take), at += take, count -= take;
    }
}

// Remembers the tile it drew last: neighbouring groups are asked for one after another.
class Cursor {
  public:
    inline explicit Cursor(const Decider &decider) : decider(decider) {}

    inline bool operator()(std::uint64_t group) {
        if (group / tile_size != tile) decider.tile(tile = group / tile_size, dropped);
        return dropped[group % tile_size];
    }

  private:
    const Decider &decider;
    std::uint64_t tile = ~std::uint64_t{0};
    alignas(32) Mask dropped[tile_size];
};

template <class Sink>
inline void scattered(const Layout &layout, const Decider &decider, std::int64_t begin, std::int64_t end,
                      const Sink &sink) {
    std::uint64_t groups[Blocks::count] = {};
    std::int64_t from[Blocks::count], to[Blocks::count];
    alignas(32) Mask dropped[Blocks::count];
    Odometer at(layout, layout.axes, begin);
    while (begin < end) {
        const int take = end - begin < Blocks::count ? static_cast<int>(end - begin) : Blocks::count;
        for (int i = 0; i < take; ++i, at.next()) groups[i] = at.group, from[i] = at.from, to[i] = at.to;
        decider.eight(groups, dropped);
        for (int i = 0; i < take; ++i) sink.at(from[i], to[i]).several(0, dropped + i, 1);
        begin += take;
    }
}

// Hands the decisions about the entries [begin, end) to the sink.
template <class Sink>
inline void walk(const Layout &layout, const Coin &coin, std::int64_t begin, std::int64_t end, const Sink &sink) {
    const Decider decider(coin);
    if (last_stride(layout) == 1) {
        each_row(layout, begin, end, sink, [&](std::uint64_t group, const Sink &there, std::int64_t count) {
            run(decider, group, 0, count, there);
        });
    } else if (last_stride(layout) == 0) {
        Cursor is_dropped(decider);
        each_row(layout, begin, end, sink, [&](std::uint64_t group, const Sink &there, std::int64_t count) {
            there.shared(0, is_dropped(group), count);
        });
    } else {
        scattered(layout, decider, begin, end, sink);
    }
}

}  // namespace
}  // namespace dropkit
