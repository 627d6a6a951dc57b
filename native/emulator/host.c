/*
 * A host for one statically linked Linux program on a bare x86-64 machine, so that the kernels for
 * AVX-512 run in an emulator of the whole CPU. GRUB loads host and program, and run.sh starts the emulator.
 *
 * There is no kernel beneath: one address space without protection, one thread, no interrupts, no files.
 * Other system calls than those below are refused with ENOSYS, and their numbers printed. What goes wrong
 * (an exception, a file that is no such program) is printed and ends the machine with another last line
 * than that of a program that exits with 0, which is what run.sh looks for.
 *
 *      1 MiB   this host (host.ld), then the program's file where GRUB put it
 *    128 MiB   the program, linked for this address; behind it grows what brk gives
 *    256 MiB   what mmap gives
 *    504 MiB   the program's stack, to 512 MiB
 *
 * Sources: ELF-64 Object File Format 1.5 (headers); System V ABI for x86-64, 3.4.1 (stack at the start)
 * and A.2 (system calls of Linux); Intel SDM volume 1, "Enabling the XSAVE feature set"; volume 3A, "Fast
 * System Calls in 64-Bit Mode".
 */
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <immintrin.h>
#include <linux/mman.h>
#include <stdint.h>

#include "machine.h"

#define MIB (UINT64_C(1) << 20)
#define PROGRAM_FROM (128 * MIB)
#define MAPPED_FROM (256 * MIB)
#define STACK_FROM (504 * MIB)
#define STACK_END (512 * MIB)
#define PAGE 4096u

/* --- in start.S and host.ld --------------------------------------------------------------------- */

/* The registers of a system call, as host_syscall_entry pushes them. */
typedef struct host_call {
    uint64_t number, argument[6];
} host_call;

_Noreturn void host_enter(uint64_t entry, uint64_t stack);
void host_syscall_entry(void);
extern const uint8_t host_end[];

/* Called from there. */
_Noreturn void host_main(uint64_t from, uint64_t end);
uint64_t host_syscall(const host_call *call);

/* --- what the program may use ------------------------------------------------------------------- */

#define XCR0_X87_SSE_AVX_MASKS_ZMM 0xe7u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_FMASK 0xc0000084u
#define MSR_FS 0xc0000100u
#define FLAGS_CLEARED 0x47700u /* TF, IF, DF, IOPL, NT, AC */

static void registers_open(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bit_AVX512F) == 0) {
        machine_stop("this CPU has no AVX-512");
    }
    __asm__ volatile("xsetbv" : : "c"(0), "a"(XCR0_X87_SSE_AVX_MASKS_ZMM), "d"(0));
}

static void syscalls_open(void) {
    machine_register_write(MSR_STAR, (uint64_t)MACHINE_CODE << 32);
    machine_register_write(MSR_LSTAR, (uint64_t)host_syscall_entry);
    machine_register_write(MSR_FMASK, FLAGS_CLEARED);
}

/* --- memory ------------------------------------------------------------------------------------- */

static uint64_t break_from, break_at, mapped_at = MAPPED_FROM;

static void octets_copy(uint64_t to, uint64_t from, uint64_t size) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static void octets_clear(uint64_t to, uint64_t size) {
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

static uint64_t pages_up(uint64_t size) {
    return (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static uint64_t break_move(uint64_t to) {
    if (to >= break_from && to <= MAPPED_FROM) {
        if (to > break_at) {
            octets_clear(break_at, to - break_at);
        }
        break_at = to;
    }
    return break_at;
}

/* Anonymous memory at a place of our choice; nothing else is there to be mapped. */
static uint64_t memory_map(const uint64_t argument[6]) {
    uint64_t size = argument[1], flags = argument[3], at = mapped_at;
    if ((flags & MAP_ANONYMOUS) == 0 || (flags & MAP_FIXED) != 0 || size == 0) {
        return (uint64_t)-EINVAL;
    }
    if (size > STACK_FROM - mapped_at) {
        return (uint64_t)-ENOMEM;
    }
    mapped_at += pages_up(size);
    octets_clear(at, size);
    return at;
}

/* What was mapped last can be mapped again; the rest is not taken back. */
static uint64_t memory_unmap(uint64_t from, uint64_t size) {
    if (from >= MAPPED_FROM && from + pages_up(size) == mapped_at) {
        mapped_at = from;
    }
    return 0;
}

/* --- system calls ------------------------------------------------------------------------------- */

/* Time is counted instructions, one nanosecond each: an emulator has no other that means anything. */
static uint64_t time_write(uint64_t to) {
    uint64_t *seconds = (uint64_t *)to, now = __rdtsc();
    seconds[0] = now / 1000000000;
    seconds[1] = now % 1000000000;
    return 0;
}

/* No secrets: keys of tests, which need to be different and no more. */
static uint64_t chance_write(uint64_t to, uint64_t size) {
    uint64_t state = __rdtsc();
    for (uint64_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)to)[i] = (uint8_t)(state >> 56);
    }
    return size;
}

static uint64_t console_write(uint64_t from, uint64_t size) {
    for (uint64_t i = 0; i < size; i++) {
        print_octet(((const char *)from)[i]);
    }
    return size;
}

static uint64_t console_write_all(const uint64_t (*parts)[2], uint64_t count) {
    uint64_t size = 0;
    for (uint64_t i = 0; i < count; i++) {
        size += console_write(parts[i][0], parts[i][1]);
    }
    return size;
}

/* Said once for each number. */
static void unknown_call_print(uint64_t number) {
    static uint8_t said[512];
    if (number >= sizeof said || !said[number]) {
        print_number("host: no system call 0x", number);
        print("\n");
    }
    if (number < sizeof said) {
        said[number] = 1;
    }
}

uint64_t host_syscall(const host_call *call) {
    const uint64_t *argument = call->argument;
    switch (call->number) {
    case __NR_write:
        return console_write(argument[1], argument[2]);
    case __NR_writev:
        return console_write_all((const uint64_t(*)[2])argument[1], argument[2]);
    case __NR_brk:
        return break_move(argument[0]);
    case __NR_mmap:
        return memory_map(argument);
    case __NR_arch_prctl:
        if (argument[0] != ARCH_SET_FS) {
            return (uint64_t)-EINVAL;
        }
        machine_register_write(MSR_FS, argument[1]);
        return 0;
    case __NR_clock_gettime:
        return time_write(argument[1]);
    case __NR_time:
        return __rdtsc() / 1000000000;
    case __NR_getrandom:
        return chance_write(argument[0], argument[1]);
    case __NR_set_tid_address:
    case __NR_gettid:
    case __NR_getpid:
        return 1;
    case __NR_munmap:
        return memory_unmap(argument[0], argument[1]);
    case __NR_mprotect: /* nothing is protected, and nobody waits */
    case __NR_madvise:
    case __NR_futex:
    case __NR_set_robust_list:
        return 0;
    case __NR_exit:
    case __NR_exit_group:
        machine_end("program: exit", argument[0]);
    case __NR_openat: /* there are no files; and what the C library asks for and can do without */
    case __NR_newfstatat:
    case __NR_readlink:
    case __NR_prlimit64:
    case __NR_rseq:
        return (uint64_t)-ENOSYS;
    default:
        unknown_call_print(call->number);
        return (uint64_t)-ENOSYS;
    }
}

/* --- the program -------------------------------------------------------------------------------- */

static void segment_load(uint64_t file, uint64_t size, const Elf64_Phdr *segment) {
    uint64_t from = segment->p_vaddr, room = segment->p_memsz, filled = segment->p_filesz;
    if (segment->p_offset > size || filled > size - segment->p_offset || filled > room ||
        from < PROGRAM_FROM || from > MAPPED_FROM || room > MAPPED_FROM - from) {
        machine_stop("a segment of the program is out of bounds");
    }
    octets_copy(from, file + segment->p_offset, filled);
    octets_clear(from + filled, room - filled);
    if (from + room > break_from) {
        break_from = break_at = pages_up(from + room);
    }
}

/* All that is read of the file lies in it; `from` is the start of a page. */
static const Elf64_Ehdr *program_load(uint64_t from, uint64_t end) {
    static const uint8_t magic[] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB};
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)from;
    if (from < (uint64_t)host_end || end > PROGRAM_FROM || from > end ||
        end - from < sizeof *header) {
        machine_stop("there is no program between the host and 128 MiB");
    }
    for (unsigned i = 0; i < sizeof magic; i++) {
        if (header->e_ident[i] != magic[i]) {
            machine_stop("the program is no ELF file");
        }
    }
    uint64_t size = end - from;
    if (header->e_type != ET_EXEC || header->e_machine != EM_X86_64 ||
        header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > size ||
        header->e_phoff % _Alignof(Elf64_Phdr) != 0 ||
        header->e_phnum * sizeof(Elf64_Phdr) > size - header->e_phoff) {
        machine_stop("the program is not statically linked for x86-64");
    }
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(from + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            segment_load(from, size, &segments[i]);
        }
    }
    return header;
}

/*
 * One argument, one variable, and the auxiliary vector that a static glibc needs to find itself.
 *
 * The variable takes ADX away from OpenSSL (OPENSSL_ia32cap(3): bit 19 of EBX of CPUID's leaf 7). Bochs 2.7
 * sets OF after ADOX to the overflow of signed numbers, and the manual wants the carry (Intel SDM volume
 * 2A, ADOX), so that OpenSSL's P-256 computes wrong points with it. Of our core one product has ADOX, and
 * program.c takes another.
 */
static uint64_t stack_build(const Elf64_Ehdr *header) {
    static const char name[] = "program", variable[] = "OPENSSL_ia32cap=:~0x80000";
    static uint8_t chance[16];
    unsigned a, b, c, d = 0;
    (void)__get_cpuid(1, &a, &b, &c, &d);
    (void)chance_write((uint64_t)chance, sizeof chance);
    const uint64_t words[] = {
        1, (uint64_t)name, 0, /* argc, argv */
        (uint64_t)variable, 0, /* envp */
        AT_PHDR, (uint64_t)header + header->e_phoff,
        AT_PHENT, sizeof(Elf64_Phdr),
        AT_PHNUM, header->e_phnum,
        AT_PAGESZ, PAGE,
        AT_HWCAP, d,
        AT_ENTRY, header->e_entry,
        AT_RANDOM, (uint64_t)chance,
        AT_SECURE, 0,
        AT_NULL, 0,
    };
    uint64_t stack = (STACK_END - sizeof words) & ~UINT64_C(15);
    octets_copy(stack, (uint64_t)words, sizeof words);
    return stack;
}

_Noreturn void host_main(uint64_t from, uint64_t end) {
    machine_console_open();
    machine_exceptions_open();
    registers_open();
    syscalls_open();
    const Elf64_Ehdr *header = program_load(from, end);
    host_enter(header->e_entry, stack_build(header));
}
