/*
 * The library as a file in memory that asks for nothing it does not use.
 *
 * libcrypto_mb.so names four libraries of Intel's compiler as needed and uses nothing of them; together
 * they are 41 MB. Empty libraries of those names would satisfy the loader, and would go on satisfying it
 * for whatever else in this process really needs Intel's, because the loader takes a library that is
 * already loaded by its name alone. So the copy that is loaded has those four names struck out, and
 * nothing else changed.
 */
#ifndef MB_IMAGE_H
#define MB_IMAGE_H

/* More than ten times the library's size: a larger file is something else. */
#define MB_MOST_IMAGE_BYTES (32u * 1024 * 1024)

typedef enum mb_image_status {
    MB_IMAGE_OK = 0,
    MB_IMAGE_UNREADABLE, /* no such regular file, or too large, or this kernel makes no file in memory */
    MB_IMAGE_NOT_ELF,    /* no 64-bit ELF file of this machine's byte order with a dynamic section */
} mb_image_status;

/* On MB_IMAGE_OK `*image` is a descriptor to be closed by the caller; -1 otherwise. */
mb_image_status ks_mb_image_open(const char *path, int *image);

#endif
