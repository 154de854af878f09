/*
 * What is allocated in this process, by the libraries too: bytes, and how often. With AddressSanitizer it is asked; otherwise
 * malloc is ours. To be included by one file of a program.
 */
#ifndef GARASU_TESTS_ALLOCATIONS_H
#define GARASU_TESTS_ALLOCATIONS_H

#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

static atomic_size_t allocation_count;

#ifdef SANITIZED

int __sanitizer_install_malloc_and_free_hooks(void (*taken)(const volatile void *, size_t),
					      void (*freed)(const volatile void *));
size_t __sanitizer_get_current_allocated_bytes(void);

static void count_allocation(const volatile void *memory, size_t n)
{
	(void)memory;
	(void)n;
	allocation_count++;
}

static void count_free(const volatile void *memory)
{
	(void)memory;
}

static inline void allocations_watch(void)
{
	__sanitizer_install_malloc_and_free_hooks(count_allocation, count_free);
}

static inline size_t allocations_bytes(void)
{
	return __sanitizer_get_current_allocated_bytes();
}

#else

#define EXPORTED __attribute__((visibility("default")))
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t n);

EXPORTED void *malloc(size_t n)
{
	allocation_count++;
	return __libc_malloc(n);
}

EXPORTED void *calloc(size_t n, size_t size)
{
	allocation_count++;
	return __libc_calloc(n, size);
}

EXPORTED void *realloc(void *memory, size_t n)
{
	allocation_count++;
	return __libc_realloc(memory, n);
}

static inline void allocations_watch(void)
{
}

static inline size_t allocations_bytes(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

#endif
#endif
