/*
 * The serial port, the end, and exceptions.
 *
 * Sources: National Semiconductor's data sheet of the PC16550D; Intel SDM volume 3A, "64-Bit Mode IDT";
 * Bochs's iodev/unmapped.cc (port 0x8900).
 */
#include "machine.h"

/* --- in start.S --------------------------------------------------------------------------------- */

/* What an exception leaves on the stack. */
typedef struct machine_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
} machine_frame;

extern const uint8_t machine_exception_stubs[32][16];

/* Called from there. */
_Noreturn void machine_exception(const machine_frame *frame);

/* --- the serial port ---------------------------------------------------------------------------- */

static void port_write(uint16_t port, uint8_t octet) {
    __asm__ volatile("outb %0, %1" : : "a"(octet), "Nd"(port));
}

static uint8_t port_read(uint16_t port) {
    uint8_t octet;
    __asm__ volatile("inb %1, %0" : "=a"(octet) : "Nd"(port));
    return octet;
}

/* COM1, 115,200 baud, 8N1. */
#define SERIAL 0x3f8u
#define SERIAL_DIVISOR_LATCH 0x80u
#define SERIAL_8N1 0x03u
#define SERIAL_MAY_SEND 0x20u
#define SERIAL_HAS_SENT 0x40u

void machine_console_open(void) {
    port_write(SERIAL + 1, 0); /* no interrupts */
    port_write(SERIAL + 3, SERIAL_DIVISOR_LATCH);
    port_write(SERIAL + 0, 1);
    port_write(SERIAL + 1, 0);
    port_write(SERIAL + 3, SERIAL_8N1);
}

void print_octet(char octet) {
    while ((port_read(SERIAL + 5) & SERIAL_MAY_SEND) == 0) {
    }
    port_write(SERIAL, (uint8_t)octet);
}

void print(const char *text) {
    while (*text != '\0') {
        print_octet(*text++);
    }
}

void print_number(const char *name, uint64_t value) {
    print(name);
    for (int shift = 60; shift >= 0; shift -= 4) {
        print_octet("0123456789abcdef"[value >> shift & 15]);
    }
}

/* Bochs ends when the word is written to this port of its own. */
#define BOCHS 0x8900u

_Noreturn void machine_end(const char *how, uint64_t status) {
    print(how);
    print_number(" 0x", status);
    print("\n");
    while ((port_read(SERIAL + 5) & SERIAL_HAS_SENT) == 0) {
    }
    for (const char *word = "Shutdown"; *word != '\0'; word++) {
        port_write(BOCHS, (uint8_t)*word);
    }
    for (;;) {
        __asm__ volatile("hlt");
    }
}

_Noreturn void machine_stop(const char *why) {
    print("host: ");
    print(why);
    machine_end("\nhost: stopped", 0);
}

/* --- exceptions --------------------------------------------------------------------------------- */

_Noreturn void machine_exception(const machine_frame *frame) {
    uint64_t address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    print_number("\nhost: exception 0x", frame->vector);
    print_number(", error 0x", frame->error);
    print_number(", rip 0x", frame->rip);
    print_number(", rsp 0x", frame->rsp);
    print_number(", cr2 0x", address);
    machine_end("\nhost: stopped", frame->vector);
}

typedef struct gate {
    uint16_t offset_low, code;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} gate;

#define INTERRUPT_GATE 0x8eu /* present, ring 0 */

void machine_exceptions_open(void) {
    static gate gates[32];
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) at = {sizeof gates - 1, (uint64_t)gates};
    for (unsigned i = 0; i < 32; i++) {
        uint64_t stub = (uint64_t)machine_exception_stubs[i];
        gates[i] = (gate){.offset_low = (uint16_t)stub,
                          .code = MACHINE_CODE,
                          .type = INTERRUPT_GATE,
                          .offset_middle = (uint16_t)(stub >> 16),
                          .offset_high = (uint32_t)(stub >> 32)};
    }
    __asm__ volatile("lidt %0" : : "m"(at));
}
