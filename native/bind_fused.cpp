// The Python surface of the fused forms. Addresses come in place of arrays, as in bind.cpp: this is for dropkit.torch.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "fused.hpp"
#include "parts.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace dropkit {
namespace {

std::vector<const FusedLoops *> usable_fused() {
    std::vector<const FusedLoops *> usable{&fused_plain};
#if defined(DROPKIT_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) usable.insert(usable.begin(), &fused_avx2);
    if (__builtin_cpu_supports("avx512f")) usable.insert(usable.begin(), &fused_avx512);
#endif
    return usable;
}

const FusedLoops *fused = usable_fused().front();

template <class T>
const Fused<T> &table();
template <>
const Fused<float> &table() { return fused->of_float; }
template <>
const Fused<Half> &table() { return fused->of_half; }
template <>
const Fused<BFloat> &table() { return fused->of_bfloat; }

using Place = std::uintptr_t;

template <class T>
T *at(Place place) { return reinterpret_cast<T *>(place); }

Rows rows_of(std::int64_t rows, std::int64_t columns, std::uint64_t key, std::uint32_t call, std::uint32_t stream,
             std::uint64_t threshold, double scale) {
    return {rows, columns, {key, call, stream, threshold}, static_cast<float>(scale)};
}

// Work over the rows in as many parts as threads have something to do; each knows its number.
template <class Work>
void in_rows(const Rows &rows, int threads, Work work) {
    nb::gil_scoped_release release;
    const std::int64_t worth = std::max<std::int64_t>(1, rows.rows * rows.columns / least_part);
    const std::int64_t parts = std::max<std::int64_t>(1, std::min<std::int64_t>({threads, rows.rows, worth}));
    in_tasks(parts, threads, [&](std::int64_t part) {
        work(part, part * rows.rows / parts, (part + 1) * rows.rows / parts);
    });
}

template <class T>
void offer(nb::module_ &module, const std::string &type) {
    module.def(("_activate_" + type).c_str(),
               [](std::int64_t n, std::int64_t columns, std::uint64_t key, std::uint32_t call, std::uint32_t stream,
                  std::uint64_t threshold, double scale, int activation, Place x, Place bias, Place out, int threads) {
                   const Rows rows = rows_of(n, columns, key, call, stream, threshold, scale);
                   in_rows(rows, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
                       table<T>().activate(rows, static_cast<Activation>(activation), at<const T>(x),
                                           at<const T>(bias), at<T>(out), begin, end);
                   });
               });
    module.def(("_activate_backward_" + type).c_str(),
               [](std::int64_t n, std::int64_t columns, std::uint64_t key, std::uint32_t call, std::uint32_t stream,
                  std::uint64_t threshold, double scale, int activation, Place x, Place bias, Place grad,
                  Place grad_x, Place sums, int threads) {
                   const Rows rows = rows_of(n, columns, key, call, stream, threshold, scale);
                   in_rows(rows, threads, [&](std::int64_t part, std::int64_t begin, std::int64_t end) {
                       double *line = sums ? at<double>(sums) + part * columns : nullptr;
                       table<T>().activate_backward(rows, static_cast<Activation>(activation), at<const T>(x),
                                                    at<const T>(bias), at<const T>(grad), at<T>(grad_x), line, begin,
                                                    end);
                   });
               });
    module.def(("_add_" + type).c_str(),
               [](std::int64_t n, std::int64_t columns, std::uint64_t key, std::uint32_t call, std::uint32_t stream,
                  std::uint64_t threshold, double scale, Place x, Place residual, Place out, int threads) {
                   const Rows rows = rows_of(n, columns, key, call, stream, threshold, scale);
                   in_rows(rows, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
                       table<T>().add(rows, at<const T>(x), at<const T>(residual), at<T>(out), begin, end);
                   });
               });
    module.def(("_norm_" + type).c_str(),
               [](std::int64_t n, std::int64_t columns, std::uint64_t key, std::uint32_t call, std::uint32_t stream,
                  std::uint64_t threshold, double scale, double epsilon, Place x, Place residual, Place weight,
                  Place bias, Place sum, Place out, Place mean, Place deviation, int threads) {
                   const Rows rows = rows_of(n, columns, key, call, stream, threshold, scale);
                   in_rows(rows, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
                       table<T>().norm(rows, static_cast<float>(epsilon), at<const T>(x), at<const T>(residual),
                                       at<const T>(weight), at<const T>(bias), at<T>(sum), at<T>(out),
                                       at<float>(mean), at<float>(deviation), begin, end);
                   });
               });
    module.def(("_norm_backward_" + type).c_str(),
               [](std::int64_t n, std::int64_t columns, std::uint64_t key, std::uint32_t call, std::uint32_t stream,
                  std::uint64_t threshold, double scale, Place grad, Place grad_sum, Place sum, Place mean,
                  Place deviation, Place weight, Place grad_residual, Place grad_x, Place grad_weight,
                  Place grad_bias, int threads) {
                   const Rows rows = rows_of(n, columns, key, call, stream, threshold, scale);
                   in_rows(rows, threads, [&](std::int64_t part, std::int64_t begin, std::int64_t end) {
                       table<T>().norm_backward(rows, at<const T>(grad), at<const T>(grad_sum), at<const T>(sum),
                                                at<const float>(mean), at<const float>(deviation),
                                                at<const T>(weight), at<T>(grad_residual), at<T>(grad_x),
                                                at<double>(grad_weight) + part * columns,
                                                at<double>(grad_bias) + part * columns, begin, end);
                   });
               });
}

}  // namespace

void bind_fused(nb::module_ &module) {
    offer<float>(module, "float32");
    offer<Half>(module, "float16");
    offer<BFloat>(module, "bfloat16");
    module.def("fused_sets", [] {
        std::vector<std::string> names;
        for (const FusedLoops *each : usable_fused()) names.emplace_back(each->instructions);
        return names;
    });
    module.def("use_fused", [](const std::string &name) {
        for (const FusedLoops *each : usable_fused())
            if (name == each->instructions) {
                fused = each;
                return;
            }
        throw nb::value_error("name: must be one of fused_sets()");
    }, "name"_a);
}

}  // namespace dropkit
