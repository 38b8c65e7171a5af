// SPDX-License-Identifier: MIT
//
// What the tests of the C++ binding share: the harness, an upstream that counts, and a type that
// counts its objects.

#ifndef CPP_TESTING_HPP
#define CPP_TESTING_HPP

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "ealloc.hpp"
extern "C" {
#include "tap.h"
}

// Each of these is one program's: its tests run one after the other.
struct Upstream {
    std::size_t n_live = 0, live_bytes = 0, n_calls = 0, refuse_from = 0;

    ea_upstream_t get()
    {
        return {take, give_back, this};
    }

  private:
    // From malloc, so that AddressSanitizer watches it, and at an odd address.
    static void *take(void *context, std::size_t bytes)
    {
        Upstream &self = *static_cast<Upstream *>(context);
        if (++self.n_calls >= self.refuse_from && self.refuse_from != 0) return nullptr;
        char *ptr = static_cast<char *>(std::malloc(bytes + 1));
        if (ptr == nullptr) return nullptr;
        self.n_live++;
        self.live_bytes += bytes;
        return ptr + 1;
    }
    static void give_back(void *context, void *ptr, std::size_t bytes)
    {
        Upstream &self = *static_cast<Upstream *>(context);
        self.n_live--;
        self.live_bytes -= bytes;
        std::free(static_cast<char *>(ptr) - 1);
    }
};

struct Counted {
    static inline int alive = 0;
    int value;

    explicit Counted(int v = 0) : value(v)
    {
        alive++;
    }
    Counted(const Counted &other) : value(other.value)
    {
        alive++;
    }
    Counted &operator=(const Counted &other) = default;
    ~Counted()
    {
        alive--;
    }
    bool operator==(const Counted &other) const
    {
        return value == other.value;
    }
    bool operator<(const Counted &other) const
    {
        return value < other.value;
    }
};

// Does body end the program in ea_port_panic(), which aborts?
template <class Body> bool panics(Body body)
{
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        body();
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#endif
