/* SPDX-License-Identifier: MIT
 *
 * What code compiled for ThreadSanitizer calls before each access to memory, without its library:
 * before each store preempt_store_hook() is told of the address.
 */
void preempt_store_hook(const void *address);

#define QUIET __attribute__((no_sanitize_thread))
#define ON_STORE(name)                                                                             \
    void name(void *address);                                                                      \
    QUIET void name(void *address)                                                                 \
    {                                                                                              \
        preempt_store_hook(address);                                                               \
    }
#define ON_LOAD(name)                                                                              \
    void name(void *address);                                                                      \
    QUIET void name(void *address)                                                                 \
    {                                                                                              \
        (void)address;                                                                             \
    }
#define ON_NOTHING(name)                                                                           \
    void name(void);                                                                               \
    QUIET void name(void)                                                                          \
    {                                                                                              \
    }
#define ON_RANGE(name, hook)                                                                       \
    void name(void *address, long n_bytes);                                                        \
    QUIET void name(void *address, long n_bytes)                                                   \
    {                                                                                              \
        (void)n_bytes;                                                                             \
        hook(address);                                                                             \
    }
#define IGNORED(address) ((void)(address))

ON_STORE(__tsan_write1)
ON_STORE(__tsan_write2)
ON_STORE(__tsan_write4)
ON_STORE(__tsan_write8)
ON_STORE(__tsan_write16)
ON_STORE(__tsan_unaligned_write2)
ON_STORE(__tsan_unaligned_write4)
ON_STORE(__tsan_unaligned_write8)
ON_STORE(__tsan_unaligned_write16)
ON_LOAD(__tsan_read1)
ON_LOAD(__tsan_read2)
ON_LOAD(__tsan_read4)
ON_LOAD(__tsan_read8)
ON_LOAD(__tsan_read16)
ON_LOAD(__tsan_unaligned_read2)
ON_LOAD(__tsan_unaligned_read4)
ON_LOAD(__tsan_unaligned_read8)
ON_LOAD(__tsan_unaligned_read16)
ON_LOAD(__tsan_func_entry)
ON_LOAD(__tsan_func_exit)
ON_NOTHING(__tsan_init)
ON_RANGE(__tsan_write_range, preempt_store_hook)
ON_RANGE(__tsan_read_range, IGNORED)
