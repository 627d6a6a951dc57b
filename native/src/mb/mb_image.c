/*
 * ELF as in the System V ABI: the dynamic section is an array of tags that ends with DT_NULL, and a
 * DT_NEEDED is an offset into the strings of DT_STRTAB, which is an address and not an offset in the
 * file; segments say which is where. Nothing here trusts a number of the file before it was bounded.
 */
#define _GNU_SOURCE

#include "mb_image.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const unused[] = {"libsvml.so", "libirng.so", "libimf.so", "libintlc.so.5"};
#define UNUSED_COUNT (sizeof unused / sizeof unused[0])

typedef struct image {
    uint8_t *data;
    size_t size;
} image;

/* `count` records of `width` octets at `offset`, or NULL if they are not all inside the file. */
static void *records_at(const image *of, uint64_t offset, uint64_t count, size_t width) {
    if (offset > of->size || offset % 8 != 0 || count > (of->size - offset) / width) {
        return NULL;
    }
    return of->data + offset;
}

static const Elf64_Ehdr *header_of(const image *of) {
    static const uint8_t ident[] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB};
    const Elf64_Ehdr *header = records_at(of, 0, 1, sizeof *header);
    if (header == NULL || memcmp(header->e_ident, ident, sizeof ident) != 0 ||
        header->e_phentsize != sizeof(Elf64_Phdr)) {
        return NULL;
    }
    return header;
}

static const Elf64_Phdr *segments_of(const image *of, size_t *count) {
    const Elf64_Ehdr *header = header_of(of);
    if (header == NULL) {
        return NULL;
    }
    *count = header->e_phnum;
    return records_at(of, header->e_phoff, header->e_phnum, sizeof(Elf64_Phdr));
}

/* The strings at `address`, up to the end of their segment or of the file. */
static const char *strings_at(const image *of, const Elf64_Phdr *segments, size_t count,
                              uint64_t address, size_t *size) {
    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
            address - segment->p_vaddr < segment->p_filesz && segment->p_offset <= of->size &&
            segment->p_filesz <= of->size - segment->p_offset) {
            *size = (size_t)(segment->p_filesz - (address - segment->p_vaddr));
            return (const char *)of->data + segment->p_offset + (address - segment->p_vaddr);
        }
    }
    return NULL;
}

static int is_unused(const char *strings, size_t size, uint64_t at) {
    for (size_t i = 0; i < UNUSED_COUNT; i++) {
        size_t length = strlen(unused[i]) + 1;
        if (at <= size && length <= size - at && memcmp(strings + at, unused[i], length) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Moves the tags that stay to the front; what is left behind them ends the section. */
static void tags_strike(Elf64_Dyn *tags, size_t count, const char *strings, size_t size) {
    size_t kept = 0;
    for (size_t i = 0; i < count && tags[i].d_tag != DT_NULL; i++) {
        if (tags[i].d_tag != DT_NEEDED || !is_unused(strings, size, tags[i].d_un.d_val)) {
            tags[kept++] = tags[i];
        }
    }
    memset(tags + kept, 0, (count - kept) * sizeof *tags);
}

static int image_strike(const image *of) {
    size_t count = 0, tag_count = 0, size = 0;
    const Elf64_Phdr *segments = segments_of(of, &count);
    Elf64_Dyn *tags = NULL;
    for (size_t i = 0; segments != NULL && i < count; i++) {
        if (segments[i].p_type == PT_DYNAMIC) {
            tag_count = (size_t)(segments[i].p_filesz / sizeof *tags);
            tags = records_at(of, segments[i].p_offset, tag_count, sizeof *tags);
        }
    }
    for (size_t i = 0; tags != NULL && i < tag_count && tags[i].d_tag != DT_NULL; i++) {
        const char *strings = tags[i].d_tag == DT_STRTAB
                                  ? strings_at(of, segments, count, tags[i].d_un.d_ptr, &size)
                                  : NULL;
        if (strings != NULL) {
            tags_strike(tags, tag_count, strings, size);
            return 1;
        }
    }
    return 0;
}

static int file_read(int file, const image *into) {
    for (size_t done = 0; done < into->size;) {
        ssize_t got = read(file, into->data + done, into->size - done);
        if (got <= 0) {
            return 0;
        }
        done += (size_t)got;
    }
    return 1;
}

static mb_image_status image_fill(int file, int memory, size_t size) {
    image of = {MAP_FAILED, size};
    mb_image_status status = MB_IMAGE_UNREADABLE;
    if (ftruncate(memory, (off_t)size) == 0) {
        of.data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    }
    if (of.data == MAP_FAILED) {
        return status;
    }
    if (file_read(file, &of)) {
        status = image_strike(&of) ? MB_IMAGE_OK : MB_IMAGE_NOT_ELF;
    }
    (void)munmap(of.data, size);
    return status;
}

mb_image_status ks_mb_image_open(const char *path, int *opened) {
    struct stat about;
    mb_image_status status = MB_IMAGE_UNREADABLE;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    /* The name is what maps of the process show. */
    int memory = memfd_create("libcrypto_mb.so", MFD_CLOEXEC);
    if (file >= 0 && memory >= 0 && fstat(file, &about) == 0 && S_ISREG(about.st_mode) &&
        about.st_size > 0 && about.st_size <= (off_t)MB_MOST_IMAGE_BYTES) {
        status = image_fill(file, memory, (size_t)about.st_size);
    }
    if (file >= 0) {
        (void)close(file);
    }
    if (status != MB_IMAGE_OK && memory >= 0) {
        (void)close(memory);
    }
    *opened = status == MB_IMAGE_OK ? memory : -1;
    return status;
}
