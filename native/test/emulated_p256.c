#include "lanes_emulated.h"

#include "emulated.h"

#define ks_p256_kernel_ifma p256_kernel_emulated
#include "p256/p256_kernel_ifma.c"
