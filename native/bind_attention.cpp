// Attention's part of the Python surface.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "attention.hpp"
#include "bind.hpp"
#include "parts.hpp"

using namespace nanobind::literals;

namespace dropkit {
namespace {

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
// four of the mask. Addresses, as above and of the thresholds, or 0: nothing can be checked here.
Attention attention_of(const std::vector<std::int64_t> &sizes, const std::vector<std::int64_t> &strides,
                       const std::vector<std::uintptr_t> &inputs, int mask, double scale, bool causal,
                       const Coin &coin, double kept_scale) {
    require(sizes.size() == 7 && strides.size() == 13 && inputs.size() == 5, "sizes, strides, inputs: 7, 13 and 5");
    const auto matrices = [&](int i) {
        return Matrices{floats(inputs[static_cast<std::size_t>(i)]), strides[3 * i], strides[3 * i + 1],
                        strides[3 * i + 2]};
    };
    return {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], static_cast<float>(scale), causal,
            {static_cast<AttentionMask::Kind>(mask), reinterpret_cast<const void *>(inputs[3]), strides[9],
             strides[10], strides[11], strides[12]},
            coin, static_cast<float>(kept_scale), matrices(0), matrices(1), matrices(2),
            reinterpret_cast<const std::int64_t *>(inputs[4])};
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

}  // namespace

void bind_attention(nb::module_ &module) {
    module.def("_attention", &attention, "sizes"_a, "strides"_a, "inputs"_a, "mask"_a, "scale"_a, "causal"_a, "key"_a,
               "call"_a, "stream"_a, "threshold"_a, "kept_scale"_a, "out"_a, "log_sums"_a, "threads"_a);
    module.def("_attention_backward", &attention_backward, "sizes"_a, "strides"_a, "inputs"_a, "mask"_a, "scale"_a,
               "causal"_a, "key"_a, "call"_a, "stream"_a, "threshold"_a, "kept_scale"_a, "grad_strides"_a, "grad"_a,
               "out"_a, "log_sums"_a, "gradients"_a, "threads"_a);
    module.def("attention_sets", &attention_sets);
    module.def("use_attention", &use_attention, "name"_a);
}

}  // namespace dropkit
