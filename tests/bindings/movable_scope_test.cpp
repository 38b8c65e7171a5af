// SPDX-License-Identifier: MIT
//
// EA_MOVABLE_LOCKED in C++ (row A4): the block is unlocked by whatever way its scope is left.

#include "cpp_testing.hpp"
#include "ealloc/movable.h"

static ea_movable_t *store;
static ea_movable_handle_t block;

static void start()
{
    alignas(8) static unsigned char memory[2048];
    store = ea_movable_init(memory, sizeof memory, nullptr);
    block = ea_movable_alloc(store, 40, 0);
}

// Only a block that nobody holds can be freed.
static bool is_unlocked()
{
    void *address = nullptr;
    if (ea_movable_unlock(store, block) == EA_OK) return false;
    if (ea_movable_try_lock(store, block, &address) != EA_OK) return false;
    return ea_movable_unlock(store, block) == EA_OK;
}

static int leave_by_return()
{
    EA_MOVABLE_LOCKED(store, block, char, text)
    {
        text[0] = 'r';
        return text[0];
    }
    return 0;
}

TEST(movable_scope_unlocks_at_its_end_and_by_break_continue_and_return, 0)
{
    start();
    int n_rounds = 0;
    EA_MOVABLE_LOCKED(store, block, char, text)
    {
        EXPECT(text != nullptr);
        EXPECT_EQ(ea_movable_free(store, block), EA_ERR_BUSY);
        n_rounds++;
    }
    EXPECT(is_unlocked());
    EA_MOVABLE_LOCKED(store, block, char, text)
    {
        if (text != nullptr) break;
        n_rounds += 100;
    }
    EXPECT(is_unlocked());
    EA_MOVABLE_LOCKED(store, block, char, text)
    {
        n_rounds++;
        if (text != nullptr) continue;
        n_rounds += 100;
    }
    EXPECT(is_unlocked());
    EXPECT_EQ(leave_by_return(), 'r');
    EXPECT(is_unlocked());
    EXPECT_EQ(n_rounds, 2);
    EXPECT_EQ(ea_movable_free(store, block), EA_OK);
}

TEST(movable_scope_unlocks_when_an_exception_passes, 0)
{
#if defined(__cpp_exceptions)
    start();
    bool caught = false;
    try {
        EA_MOVABLE_LOCKED(store, block, char, text)
        {
            if (text != nullptr) throw 1;
        }
    } catch (int) {
        caught = true;
    }
    EXPECT(caught);
    EXPECT(is_unlocked());
#endif
}

TEST(movable_scope_of_a_stale_handle_gives_null, 0)
{
    start();
    EXPECT_EQ(ea_movable_free(store, block), EA_OK);
    int n_rounds = 0;
    EA_MOVABLE_LOCKED(store, block, char, text)
    {
        EXPECT(text == nullptr);
        n_rounds++;
    }
    EXPECT_EQ(n_rounds, 1);
}

TEST_MAIN(&movable_scope_unlocks_at_its_end_and_by_break_continue_and_return,
          &movable_scope_unlocks_when_an_exception_passes,
          &movable_scope_of_a_stale_handle_gives_null)
