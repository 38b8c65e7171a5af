/* SPDX-License-Identifier: MIT
 *
 * A search of the model checker's, and what it says.
 */
#ifndef EALLOC_MODELCHECK_SEARCH_H
#define EALLOC_MODELCHECK_SEARCH_H

#include <iostream>
#include <streambuf>

#include <relacy/relacy.hpp>

namespace
{

/* Takes everything and keeps nothing. (While relacy runs, memory comes from relacy: a stream that
 * allocates then would not do.) */
struct silence_t : std::streambuf {
    int overflow(int c)
    {
        return c;
    }
};

/* Whether a search of so many schedules finds nothing wrong. A history of what was found is printed
 * unless it was to be found. */
template <typename suite> bool is_clean(const char *name, unsigned n_iterations, bool expected)
{
    silence_t silence;
    std::ostream nowhere(&silence);
    rl::test_params params;
    params.search_type = rl::random_scheduler_type;
    params.iteration_count = n_iterations;
    params.output_stream = expected ? &std::cout : &nowhere;
    params.progress_stream = &nowhere;
    params.execution_depth_limit = 5000;
    bool clean = rl::simulate<suite>(params);
    std::cout << "# " << name << (clean ? ": clean after " : ": found: ") << params.stop_iteration
              << (clean ? " schedules\n" : " schedules, ")
              << (clean ? "" : rl::test_result_str(params.test_result)) << (clean ? "" : "\n");
    return clean;
}

} // namespace

#endif
