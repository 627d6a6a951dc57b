/*
 * From what GRUB leaves to 64-bit C, and between the program and the host. host.c says what all this is for.
 *
 * Sources: Multiboot Specification 0.6.96, 3.1 (header), 3.2 (machine state), 3.3 (information); Intel SDM
 * volume 3A, "4-Level Paging", "Exception and Interrupt Handling in 64-Bit Mode", "Initializing IA-32e
 * Mode"; volume 2B, SYSCALL; System V ABI for x86-64, 3.4.1 (registers at the start), A.2.1 (registers of
 * a system call).
 */

        .set MULTIBOOT_MAGIC, 0x1badb002
        .set MULTIBOOT_FLAGS, 1                 /* modules start on pages */
        .set MULTIBOOT_LOADED, 0x2badb002       /* in eax, from the loader */
        .set MODULES_COUNT, 20                  /* in the information */
        .set MODULES_ADDRESS, 24

        .set CR0_MP_NE_WP, 1 << 1 | 1 << 5 | 1 << 16
        .set CR0_EM, 1 << 2
        .set CR0_PG, 1 << 31
        .set CR4_PAE_OSFXSR_OSXMMEXCPT_OSXSAVE, 1 << 5 | 1 << 9 | 1 << 10 | 1 << 18
        .set EFER, 0xc0000080
        .set EFER_SCE_LME, 1 << 0 | 1 << 8

        .set CODE, 8                            /* SYSCALL takes the next one for the stack */
        .set DATA, 16

        .section .multiboot, "a"
        .balign 4
        .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

/* --- 32 bits, without paging -------------------------------------------------------------------- */

        .text
        .code32
        .global start
start:  cli
        cld
        cmp     $MULTIBOOT_LOADED, %eax
        jne     halt
        xor     %edi, %edi                      /* no module: from 0 to 0 */
        xor     %esi, %esi
        cmpl    $0, MODULES_COUNT(%ebx)
        je      1f
        mov     MODULES_ADDRESS(%ebx), %ecx
        mov     0(%ecx), %edi                   /* its first octet, and the one after the last */
        mov     4(%ecx), %esi
1:      mov     $CR4_PAE_OSFXSR_OSXMMEXCPT_OSXSAVE, %eax
        mov     %eax, %cr4
        mov     $page_map, %eax
        mov     %eax, %cr3
        mov     $EFER, %ecx
        rdmsr
        or      $EFER_SCE_LME, %eax
        wrmsr
        mov     %cr0, %eax
        and     $~CR0_EM, %eax
        or      $CR0_PG | CR0_MP_NE_WP, %eax
        mov     %eax, %cr0
        lgdt    descriptors_at
        ljmp    $CODE, $start_64

halt:   hlt
        jmp     halt

/* --- 64 bits ------------------------------------------------------------------------------------ */

        .code64
start_64:
        mov     $DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $host_stack_top, %esp
        mov     %edi, %edi                      /* the upper halves were undefined until here */
        mov     %esi, %esi
        call    host_main
        ud2

/* host_enter(entry, stack): the program begins, with nothing in rdx to call at its end. */
        .global host_enter
host_enter:
        mov     %rsi, %rsp
        xor     %edx, %edx
        xor     %ebp, %ebp
        jmp     *%rdi

/*
 * Where SYSCALL leads: rcx is where to go on, r11 the flags. The program runs in ring 0 as the host does,
 * so that its stack has to be left by hand, and with a jump one is back: SYSRET would go to ring 3. Below
 * the program's stack is its red zone; nothing may be pushed there.
 */
        .global host_syscall_entry
host_syscall_entry:
        mov     %rsp, program_stack
        mov     $host_stack_top, %rsp
        push    program_stack
        push    %rcx
        push    %r11
        push    %r9                             /* from here on a host_call (host.c) */
        push    %r8
        push    %r10
        push    %rdx
        push    %rsi
        push    %rdi
        push    %rax
        mov     %rsp, %rdi
        call    host_syscall
        add     $8, %rsp                        /* rax is the answer */
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %r10
        pop     %r8
        pop     %r9
        popfq
        pop     %rcx
        pop     %rsp
        jmp     *%rcx

/* --- exceptions: told, and the end -------------------------------------------------------------- */

        .set WITH_ERROR_CODE, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21

        .global machine_exception_stubs         /* 32 of 16 octets */
        .balign 16
machine_exception_stubs:
        .set vector, 0
        .rept   32
        .balign 16
        .if     (WITH_ERROR_CODE >> vector) & 1 == 0
        push    $0
        .endif
        push    $vector
        jmp     exception
        .set vector, vector + 1
        .endr

        .balign 16
exception:
        mov     %rsp, %rdi                      /* a machine_frame (machine.c) */
        mov     $host_stack_top, %rsp
        call    machine_exception
        ud2

/* --- tables ------------------------------------------------------------------------------------- */

        .data
        .balign 8
descriptors:
        .quad   0
        .quad   0x00af9b000000ffff              /* CODE: ring 0, 64 bits */
        .quad   0x00cf93000000ffff              /* DATA: ring 0 */
descriptors_at:
        .word   descriptors_at - descriptors - 1
        .long   descriptors

/* Every address from 1 MiB to 512 MiB is the physical one. The first MiB is missing, so that null pointers
 * are found; for its sake the second one is in pages of 4 KiB, and all others are in pages of 2 MiB. */
        .set PRESENT_WRITABLE, 3
        .set LARGE, 1 << 7
        .balign 4096
page_map:
        .quad   page_directories + PRESENT_WRITABLE
        .fill   511, 8, 0
page_directories:
        .quad   page_directory + PRESENT_WRITABLE
        .fill   511, 8, 0
page_directory:
        .quad   page_table + PRESENT_WRITABLE
        .set page, 1
        .rept   255
        .quad   page << 21 | LARGE | PRESENT_WRITABLE
        .set page, page + 1
        .endr
        .fill   256, 8, 0
page_table:
        .fill   256, 8, 0
        .set page, 256
        .rept   256
        .quad   page << 12 | PRESENT_WRITABLE
        .set page, page + 1
        .endr

        .bss
        .balign 16
        .skip   65536
host_stack_top:
program_stack:
        .skip   8

        .section .note.GNU-stack, "", @progbits
