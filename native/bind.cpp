#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "philox.hpp"

namespace nb = nanobind;

namespace {

using Words = nb::ndarray<std::uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void philox4x32(Words counters, std::uint64_t key, int rounds) {
    if (counters.shape(1) != 4) throw nb::value_error("counters: the last axis must hold 4 words");
    for (std::size_t i = 0; i < counters.shape(0); ++i) {
        std::uint32_t *words = counters.data() + 4 * i;
        dropkit::philox4x32(words[0], words[1], words[2], words[3], dropkit::Key(key), rounds);
    }
}

}  // namespace

NB_MODULE(_native, module) {
    module.def("philox4x32", &philox4x32, nb::arg("counters").noconvert(), nb::arg("key"), nb::arg("rounds"));
}
