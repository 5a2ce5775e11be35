// The Python surface. Everything is checked here; nothing below checks again.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "attention.hpp"
#include "loop.hpp"
#include "parts.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace dropkit {
namespace {

constexpr std::uint64_t always = std::uint64_t{1} << 32;
constexpr std::int64_t worth_releasing = 1 << 14;  // entries: below, giving up the interpreter costs more than it gives

const Loops *loops = usable_loops().front();

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

// A key is 64 bits: both -1 and 2^64 - 1 mean all ones.
std::uint64_t bits_of(nb::handle key) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(key.ptr(), &overflow);
    if (value == -1 && PyErr_Occurred()) throw nb::python_error();
    if (overflow == 0) return static_cast<std::uint64_t>(value);
    const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(key.ptr()) : 0;
    if (overflow < 0 || PyErr_Occurred()) {
        PyErr_Clear();
        throw nb::value_error("key: must fit in 64 bits, signed or unsigned");
    }
    return large;
}

Coin coin_of(nb::handle key, std::uint32_t call, std::uint32_t stream, std::uint64_t threshold) {
    if (threshold > always) throw nb::value_error("threshold: must be a whole number from 0 to 2**32");
    return {bits_of(key), call, stream, threshold};
}

void require(bool holds, const char *rule) {
    if (!holds) throw nb::value_error(rule);
}

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
    require(!from || from->size() == sizes.size(), "from: must be as many as sizes");
    require(!to || to->size() == sizes.size(), "to: must be as many as sizes");
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

template <class T>
void two_point_array(Array<const T> x, Array<T> out, const Layout &layout, nb::handle key, std::uint32_t call,
                     std::uint32_t stream, std::uint64_t threshold, double scale, double shift, double fill,
                     int threads) {
    const auto entries = static_cast<std::size_t>(layout.entries);
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

// The sets of attention that this machine can run, the fastest first.
std::vector<const AttentionLoops *> usable_attention() {
    std::vector<const AttentionLoops *> usable{&attention_plain};
#if defined(DROPKIT_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) usable.insert(usable.begin(), &attention_avx2);
    if (__builtin_cpu_supports("avx512f")) usable.insert(usable.begin(), &attention_avx512);
#endif
    return usable;
}

const AttentionLoops *attention_loops = usable_attention().front();

const float *floats(std::uintptr_t address) { return reinterpret_cast<const float *>(address); }

// Sizes: batch, heads, key heads, queries, keys, depth, value depth. Strides, in floats: three each of q, k and v,
// four of the mask. Addresses, as above: nothing can be checked here.
Attention attention_of(const std::vector<std::int64_t> &sizes, const std::vector<std::int64_t> &strides,
                       const std::vector<std::uintptr_t> &inputs, int mask, double scale, bool causal,
                       const Coin &coin, double kept_scale) {
    require(sizes.size() == 7 && strides.size() == 13 && inputs.size() == 4, "sizes, strides, inputs: 7, 13 and 4");
    const auto matrices = [&](int i) {
        return Matrices{floats(inputs[static_cast<std::size_t>(i)]), strides[3 * i], strides[3 * i + 1],
                        strides[3 * i + 2]};
    };
    return {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], static_cast<float>(scale), causal,
            {static_cast<AttentionMask::Kind>(mask), reinterpret_cast<const void *>(inputs[3]), strides[9],
             strides[10], strides[11], strides[12]},
            coin, static_cast<float>(kept_scale), matrices(0), matrices(1), matrices(2)};
}

void attention(const std::vector<std::int64_t> &sizes, const std::vector<std::int64_t> &strides,
               const std::vector<std::uintptr_t> &inputs, int mask, double scale, bool causal, nb::handle key,
               std::uint32_t call, std::uint32_t stream, std::uint64_t threshold, double kept_scale,
               std::uintptr_t out, std::uintptr_t log_sums, int threads) {
    const Attention a = attention_of(sizes, strides, inputs, mask, scale, causal,
                                     coin_of(key, call, stream, threshold), kept_scale);
    const std::int64_t heads = a.batch * a.heads;
    if (heads == 0 || a.queries == 0) return;
    // Parts of a head pack its keys anew, so there are no more of them than keep every thread busy.
    const std::int64_t wanted = std::max<std::int64_t>(1, (2 * threads + heads - 1) / heads);
    const std::int64_t rows = threads == 1 ? a.queries : std::max<std::int64_t>(48, (a.queries / wanted + 47) / 48 * 48);
    const std::int64_t parts = (a.queries + rows - 1) / rows;
    nb::gil_scoped_release release;
    in_tasks(heads * parts, threads, [&](std::int64_t task) {
        const std::int64_t head = task / parts, begin = task % parts * rows;
        attention_loops->forward(a, head / a.heads, head % a.heads, begin, std::min(begin + rows, a.queries),
                                 reinterpret_cast<float *>(out), reinterpret_cast<float *>(log_sums));
    });
}

void attention_backward(const std::vector<std::int64_t> &sizes, const std::vector<std::int64_t> &strides,
                        const std::vector<std::uintptr_t> &inputs, int mask, double scale, bool causal,
                        nb::handle key, std::uint32_t call, std::uint32_t stream, std::uint64_t threshold,
                        double kept_scale, const std::vector<std::int64_t> &grad_strides, std::uintptr_t grad,
                        std::uintptr_t out, std::uintptr_t log_sums, const std::vector<std::uintptr_t> &gradients,
                        int threads) {
    require(grad_strides.size() == 3 && gradients.size() == 3, "grad_strides, gradients: three each");
    const Attention a = attention_of(sizes, strides, inputs, mask, scale, causal,
                                     coin_of(key, call, stream, threshold), kept_scale);
    const AttentionGradients g{{floats(grad), grad_strides[0], grad_strides[1], grad_strides[2]},
                               floats(out),
                               floats(log_sums),
                               reinterpret_cast<float *>(gradients[0]),
                               reinterpret_cast<float *>(gradients[1]),
                               reinterpret_cast<float *>(gradients[2])};
    nb::gil_scoped_release release;
    in_tasks(a.batch * a.key_heads, threads, [&](std::int64_t task) {
        attention_loops->backward(a, g, task / a.key_heads, task % a.key_heads);
    });
}

std::vector<std::string> attention_sets() {
    std::vector<std::string> names;
    for (const AttentionLoops *each : usable_attention()) names.emplace_back(each->instructions);
    return names;
}

void use_attention(const std::string &name) {
    for (const AttentionLoops *each : usable_attention())
        if (name == each->instructions) {
            attention_loops = each;
            return;
        }
    throw nb::value_error("name: must be one of attention_sets()");
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

NB_MODULE(_native, module) {
    using namespace dropkit;
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
    module.def("_attention", &attention, "sizes"_a, "strides"_a, "inputs"_a, "mask"_a, "scale"_a, "causal"_a, "key"_a,
               "call"_a, "stream"_a, "threshold"_a, "kept_scale"_a, "out"_a, "log_sums"_a, "threads"_a);
    module.def("_attention_backward", &attention_backward, "sizes"_a, "strides"_a, "inputs"_a, "mask"_a, "scale"_a,
               "causal"_a, "key"_a, "call"_a, "stream"_a, "threshold"_a, "kept_scale"_a, "grad_strides"_a, "grad"_a,
               "out"_a, "log_sums"_a, "gradients"_a, "threads"_a);
    module.def("attention_sets", &attention_sets);
    module.def("use_attention", &use_attention, "name"_a);
    module.def("instruction_sets", &instruction_sets);
    module.def("use_instructions", &use_instructions, "name"_a);
}
