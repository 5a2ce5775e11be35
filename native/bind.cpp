// The Python surface. Everything is checked here; nothing below checks again.
#include "bind.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "loop.hpp"
#include "parts.hpp"

using namespace nanobind::literals;

namespace dropkit {
namespace {

constexpr std::int64_t worth_releasing = 1 << 14;  // entries: below, giving up the interpreter costs more than it gives

const Loops *loops = usable_loops().front();

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

using Numbers = std::vector<std::int64_t>;

Layout layout_of(const Numbers &sizes, const Numbers &strides, std::uint64_t base, const std::optional<Numbers> &from,
                 const std::optional<Numbers> &to) {
    require(sizes.size() == strides.size(), "strides: must be as many as sizes");
    require(sizes.size() <= Layout::max_axes, "sizes: at most 16 axes; merge neighbours that one stride can walk");
    Layout layout{static_cast<int>(sizes.size()), {}, {}, {}, {}, base, 1};
    std::uint64_t last = base;
    for (std::size_t k = 0; k < sizes.size(); ++k) {
        require(sizes[k] >= 0 && strides[k] >= 0, "sizes, strides: must not be negative");
        std::int64_t reach = 0;
        bool large = __builtin_mul_overflow(layout.entries, sizes[k], &layout.entries);
        large |= __builtin_mul_overflow(std::max<std::int64_t>(sizes[k] - 1, 0), strides[k], &reach);
        large |= __builtin_add_overflow(last, static_cast<std::uint64_t>(reach), &last);
        require(!large, "sizes, strides: entries must stay below 2**63 and groups below 2**64");
        layout.sizes[k] = sizes[k], layout.strides[k] = strides[k];
    }
    require(!from || from->size() == sizes.size(), "x: must have as many strides as sizes");
    require(!to || to->size() == sizes.size(), "out: must have as many strides as sizes");
    std::int64_t step = 1;
    for (std::size_t k = sizes.size(); k-- > 0; step *= sizes[k])
        layout.from[k] = from ? (*from)[k] : step, layout.to[k] = to ? (*to)[k] : step;
    if (layout.axes == 0) layout.axes = 1, layout.sizes[0] = layout.strides[0] = layout.from[0] = layout.to[0] = 1;
    return layout;
}

template <class Work>
void perform(const Layout &layout, int threads, Work work) {
    std::optional<nb::gil_scoped_release> release;
    if (layout.entries >= worth_releasing) release.emplace();
    if (layout.entries) in_parts(layout.entries, threads, work);
}

template <class T>
void two_point(TwoPointLoop<T> loop, const T *x, T *out, const Layout &layout, const Coin &coin, const TwoPoint &noise,
               int threads) {
    perform(layout, threads, [=, &layout, &coin, &noise](std::int64_t begin, std::int64_t end) {
        loop(layout, coin, noise, x, out, begin, end);
    });
}

// Arrays are walked in their order: then every entry has a place of its own, inside of them.
bool in_order(const Layout &layout) {
    std::int64_t step = 1;
    for (int k = layout.axes; k-- > 0; step *= layout.sizes[k])
        if (layout.from[k] != step || layout.to[k] != step) return false;
    return true;
}

constexpr const char *no_places = "layout: must be made without x and out: arrays are walked in their order";

template <class T>
void two_point_array(Array<const T> x, Array<T> out, const Layout &layout, nb::handle key, std::uint32_t call,
                     std::uint32_t stream, std::uint64_t threshold, double scale, double shift, double fill,
                     int threads) {
    const auto entries = static_cast<std::size_t>(layout.entries);
    require(in_order(layout), no_places);
    require(x.size() == entries, "x: must have as many entries as the layout");
    require(out.size() == entries, "out: must have as many entries as the layout");
    two_point<T>(std::get<TwoPointLoop<T>>(loops->two_point), x.data(), out.data(), layout,
                 coin_of(key, call, stream, threshold), {scale, shift, fill}, threads);
}

// Addresses instead of arrays: handing a torch tensor over as an array takes 8 us, its address 0.4 us, and at 64
// entries that decides. Nothing can be checked, so these are for dropkit.torch alone.
template <class T>
void two_point_at(std::uintptr_t x, std::uintptr_t out, const Layout &layout, nb::handle key, std::uint32_t call,
                  std::uint32_t stream, std::uint64_t threshold, double scale, double shift, double fill,
                  int threads) {
    two_point<T>(std::get<TwoPointLoop<T>>(loops->two_point), reinterpret_cast<const T *>(x),
                 reinterpret_cast<T *>(out), layout, coin_of(key, call, stream, threshold), {scale, shift, fill},
                 threads);
}

template <class T>
void continuous_at(std::uintptr_t x, std::uintptr_t out, const Layout &layout, nb::handle key, std::uint32_t call,
                   std::uint32_t stream, int kind, double mean, double deviation, int threads) {
    const Coin coin = coin_of(key, call, stream, 0);
    const Continuous noise{static_cast<Continuous::Kind>(kind), mean, deviation};
    const auto loop = std::get<ContinuousLoop<T>>(loops->continuous);
    perform(layout, threads, [&](std::int64_t begin, std::int64_t end) {
        loop(layout, coin, noise, reinterpret_cast<const T *>(x), reinterpret_cast<T *>(out), begin, end);
    });
}

template <class T>
void offer(nb::module_ &module, const std::string &type) {
    module.def(("_two_point_" + type + "_at").c_str(), &two_point_at<T>, "x"_a, "out"_a, "layout"_a, "key"_a, "call"_a,
               "stream"_a, "threshold"_a, "scale"_a, "shift"_a, "fill"_a, "threads"_a);
    module.def(("_continuous_" + type + "_at").c_str(), &continuous_at<T>, "x"_a, "out"_a, "layout"_a, "key"_a,
               "call"_a, "stream"_a, "kind"_a, "mean"_a, "deviation"_a, "threads"_a);
}

void dropped(Array<bool> out, const Layout &layout, nb::handle key, std::uint32_t call, std::uint32_t stream,
             std::uint64_t threshold, int threads) {
    require(in_order(layout), no_places);
    require(static_cast<std::int64_t>(out.size()) == layout.entries, "out: must have as many entries as the layout");
    const Coin coin = coin_of(key, call, stream, threshold);
    auto *bytes = reinterpret_cast<std::uint8_t *>(out.data());
    perform(layout, threads, [&layout, &coin, bytes](std::int64_t begin, std::int64_t end) {
        loops->dropped(layout, coin, bytes, begin, end);
    });
}

void draw(Array<std::int64_t> out, std::uint64_t start, nb::handle key, std::uint32_t call, std::uint32_t stream,
          bool second) {
    const Coin coin = coin_of(key, call, stream, 0);
    const DrawLoop loop = second ? loops->second : loops->uniform;
    nb::gil_scoped_release release;
    loop(coin, start, static_cast<std::int64_t>(out.size()), out.data());
}

void philox4x32_blocks(nb::ndarray<std::uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> blocks, nb::handle key,
                       int rounds) {
    require(blocks.shape(1) == 4, "blocks: the last axis must hold four words");
    const std::uint64_t bits = bits_of(key);
    const Key words{static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
    for (std::size_t i = 0; i < blocks.shape(0); ++i) {
        std::uint32_t *c = blocks.data() + 4 * i;
        const Block drawn = philox4x32(Block{c[0], c[1], c[2], c[3]}, words, rounds);
        c[0] = drawn.c0, c[1] = drawn.c1, c[2] = drawn.c2, c[3] = drawn.c3;
    }
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Loops *each : usable_loops()) names.emplace_back(each->instructions);
    return names;
}

void use_instructions(const std::string &name) {
    for (const Loops *each : usable_loops())
        if (name == each->instructions) {
            loops = each;
            return;
        }
    throw nb::value_error("name: must be one of instruction_sets()");
}

}  // namespace
}  // namespace dropkit

namespace dropkit {
void bind_fused(nb::module_ &module);
}

NB_MODULE(_native, module) {
    using namespace dropkit;
    bind_fused(module);
    nb::set_leak_warnings(false);  // layouts are kept for the life of the process, by intention
    nb::class_<Layout>(module, "Layout")
        .def(
            "__init__",
            [](Layout *self, const Numbers &sizes, const Numbers &strides, std::uint64_t base,
               const std::optional<Numbers> &from, const std::optional<Numbers> &to) {
                new (self) Layout(layout_of(sizes, strides, base, from, to));
            },
            "sizes"_a, "strides"_a, "base"_a = 0, "x"_a = nb::none(), "out"_a = nb::none())
        .def_ro("entries", &Layout::entries);
    module.def("two_point", &two_point_array<float>, "x"_a.noconvert(), "out"_a.noconvert(),
               "layout"_a, "key"_a, "call"_a, "stream"_a, "threshold"_a, "scale"_a, "shift"_a, "fill"_a,
               "threads"_a = 1);
    module.def("two_point", &two_point_array<double>, "x"_a.noconvert(),
               "out"_a.noconvert(), "layout"_a, "key"_a, "call"_a, "stream"_a, "threshold"_a, "scale"_a, "shift"_a,
               "fill"_a, "threads"_a = 1);
    offer<float>(module, "float32");
    offer<double>(module, "float64");
    offer<Half>(module, "float16");
    offer<BFloat>(module, "bfloat16");
    module.def("dropped", &dropped, "out"_a.noconvert(), "layout"_a, "key"_a, "call"_a, "stream"_a, "threshold"_a,
               "threads"_a = 1);
    module.def("draw", &draw, "out"_a.noconvert(), "start"_a, "key"_a, "call"_a, "stream"_a, "second"_a);
    module.def("philox4x32", &philox4x32_blocks, "blocks"_a.noconvert(), "key"_a, "rounds"_a);
    module.def("instruction_sets", &instruction_sets);
    module.def("shares_threads", [] { return team_of_torch() != nullptr; });
    module.def("use_instructions", &use_instructions, "name"_a);
    bind_attention(module);
}
