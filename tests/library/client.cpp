// client.cpp - the header of a library in a C++ program, with what C++ keeps its own: exceptions, references, vectors.
#include "Net.h"
#include "Other.h"
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {
void hold(int code, Net_ctx *net) {
    if (code != 0) throw std::runtime_error(Net_error(net));
}
} // namespace

int main() {
    deq_library_options options{};
    options.threads = 1;
    std::unique_ptr<Net_ctx, decltype(&Net_free)> net(Net_new(&options), Net_free);
    std::unique_ptr<Other_ctx, decltype(&Other_free)> other(Other_new(&options), Other_free);
    if (!net || !other) return 1;
    std::vector<float> x(2 * NET_INPUT, 0.25f), output(2 * NET_OUTPUT), more(2 * OTHER_OUTPUT);
    Net_status status{};
    try {
        hold(Net_forward(net.get(), 2, x.data(), output.data(), &status), net.get());
        hold(Net_forward(net.get(), 2, nullptr, output.data(), &status), net.get());
        return 2;
    } catch (const std::runtime_error &e) {
        std::printf("caught %s\n", e.what());
    }
    // Two nets in one program.
    if (Other_forward(other.get(), 2, x.data(), more.data(), nullptr) != 0) return 3;
    return status.solves == 2 && output[0] == output[NET_OUTPUT] ? 0 : 4;
}
