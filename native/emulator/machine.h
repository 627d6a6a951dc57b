/* What host.c needs of a PC: a console, exceptions that are told, and an end. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

/* The selector of start.S's code. */
#define MACHINE_CODE 8u

static inline void machine_register_write(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* COM1 as it is told to begin; before that, nothing may be printed. */
void machine_console_open(void);
void print_octet(char octet);
void print(const char *text);
/* The name, and all 16 hexadecimal digits. */
void print_number(const char *name, uint64_t value);

/* Every exception is printed, and the end. */
void machine_exceptions_open(void);

/* `how` and the status are the last line. Bochs then ends; another machine halts. */
_Noreturn void machine_end(const char *how, uint64_t status);
/* The end because of what the host found. */
_Noreturn void machine_stop(const char *why);

#endif
