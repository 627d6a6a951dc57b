/* Runs every test; the exit status is the result. */
#include "check.h"

int main(void) {
    test_fan_out();
    test_keys();
    test_verify();
    puts("ok");
    return 0;
}
