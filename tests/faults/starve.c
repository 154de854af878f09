/*
 * Preloaded into a process under test: lets allocations fail, and counts. GARASU_STARVE=FILE names 32 bytes of shared memory,
 * native uint64_t: [0] in: the number of the allocation that fails, from 1 (0 = none); [1] out: allocations so far; [2] in: how many
 * after it fail too; [3] in: 1 = only those count that the program's own code asks for, not a library's. The count begins
 * with main: what the loader and the sanitizer's own start need is not ours.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static volatile uint64_t *shared;
static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);

/* dlsym allocates by itself before there is anything to allocate with. */
static char early[4096];
static size_t early_used;

static void *early_bytes(size_t n)
{
	void *place = early + early_used;
	early_used += (n + 15) & ~(size_t)15;
	return early_used <= sizeof(early) ? place : NULL;
}

static int is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static uintptr_t program_begin, program_end;

static int fails(const void *caller)
{
	if (!shared || (shared[3] && ((uintptr_t)caller < program_begin || (uintptr_t)caller >= program_end)))
		return 0;
	uint64_t number = __atomic_add_fetch(&shared[1], 1, __ATOMIC_RELAXED);
	if (!shared[0] || number < shared[0] || number > shared[0] + shared[2])
		return 0;
	errno = ENOMEM;
	return 1;
}

static void find(void)
{
	static int finding;
	if (next_free || finding)
		return;
	finding = 1;
	*(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
	*(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&next_free = dlsym(RTLD_NEXT, "free");
	finding = 0;
}

PUBLIC void *malloc(size_t n)
{
	find();
	if (!next_free)
		return early_bytes(n);
	return fails(__builtin_return_address(0)) ? NULL : next_malloc(n);
}

PUBLIC void *calloc(size_t count, size_t size)
{
	find();
	if (!next_free)
		return early_bytes(count * size);
	return fails(__builtin_return_address(0)) ? NULL : next_calloc(count, size);
}

PUBLIC void *realloc(void *old, size_t n)
{
	find();
	if (!next_free || is_early(old))
		return NULL;
	return fails(__builtin_return_address(0)) ? NULL : next_realloc(old, n);
}

PUBLIC void free(void *p)
{
	if (next_free && !is_early(p))
		next_free(p);
}

/* The program comes first. */
static int find_program(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	(void)context;
	program_begin = UINTPTR_MAX;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;
		if (part->p_type != PT_LOAD)
			continue;
		program_begin = begin < program_begin ? begin : program_begin;
		program_end = begin + part->p_memsz > program_end ? begin + part->p_memsz : program_end;
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *file = getenv("GARASU_STARVE");
	int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *place = fd >= 0 ? mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (fd >= 0)
		close(fd);
	find();
	dl_iterate_phdr(find_program, NULL);
	shared = place == MAP_FAILED ? NULL : place;
}
