/* One spelling for each URL; the differential tests hold it to the readable one in full. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec/ks_htu.h"

static ks_status normalise(const char *url, size_t url_size, uint8_t **out, size_t *size) {
    uint8_t *in = malloc(url_size);
    *out = malloc(KS_MAX_URL_CHARS + 1);
    CHECK((in != NULL || url_size == 0) && *out != NULL);
    if (url_size > 0) {
        memcpy(in, url, url_size);
    }
    ks_status status = ks_htu_normalise((ks_view){in, url_size}, *out, size);
    free(in);
    return status;
}

static void becomes(const char *url, const char *expected) {
    uint8_t *out;
    size_t size;
    CHECK(normalise(url, strlen(url), &out, &size) == KS_OK);
    CHECK(size == strlen(expected) && memcmp(out, expected, size) == 0);
    free(out);
}

static void refused_of(const char *url, size_t url_size, ks_status expected) {
    uint8_t *out;
    size_t size;
    CHECK(normalise(url, url_size, &out, &size) == expected);
    free(out);
}

static void refused(const char *url) {
    refused_of(url, strlen(url), KS_E_MALFORMED);
}

static void test_spellings(void) {
    becomes("https://api.example/orders", "https://api.example/orders");
    becomes("HTTPS://API.Example:443/Orders", "https://api.example/Orders");
    becomes("http://a:80", "http://a/");
    becomes("http://a:", "http://a/");
    becomes("http://a:443/", "http://a:443/");
    becomes("https://a:00443?x", "https://a/");
    becomes("https://a:1#y?", "https://a:1/");
    becomes("http://[2001:DB8::1]:65535/x", "http://[2001:db8::1]:65535/x");
    becomes("http://a/%7euser/%2f/%2F/%e9", "http://a/~user/%2F/%2F/%E9");
    becomes("http://a/%25%34%31", "http://a/%2541");
    becomes("http://a/b//c/?d=/../e#/../f", "http://a/b//c/");
}

static void test_dot_segments(void) {
    becomes("http://a/.", "http://a/");
    becomes("http://a/..", "http://a/");
    becomes("http://a/../../b", "http://a/b");
    becomes("http://a/b/./c/../d", "http://a/b/d");
    becomes("http://a/b/c/..", "http://a/b/");
    becomes("http://a/b/c/.", "http://a/b/c/");
    becomes("http://a//..//b", "http://a//b");
    becomes("http://a/b/%2e%2E/c", "http://a/c");
    becomes("http://a/.../.b/..c/d.", "http://a/.../.b/..c/d.");
}

static void test_other_urls(void) {
    static const char *const urls[] = {
        "",
        "http",
        "http:/",
        "http://",
        "http:///x",
        "//a/x",
        "/x",
        "ftp://a/",
        "httpss://a/",
        "h+p://a/",
        "http://user@a/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:000080/",
        "http://a:8o/",
        "http://[]/",
        "http://[::1/",
        "http://[::g]/",
        "http://[::1]x/",
        "http://a%41/",
        "http://a/%",
        "http://a/%4",
        "http://a/%4g",
        "http://a/ ",
        "http://a/\n",
        "http://a/[",
        "http://a/?%",
        "http://a/#%0",
        "http://a/#b#",
        "http://a/\xc3\xa9",
        "http://\xed\xa0\x80/",
        "http://a/\x7f",
        "http://a\\b/",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        refused(urls[i]);
    }
    refused_of(NULL, 0, KS_E_MALFORMED);
    refused_of("http://a/\0", 10, KS_E_MALFORMED);
}

static void test_cut_off(void) {
    static const char url[] = "https://[::1]:8443/%41";
    for (size_t size = 0; size < sizeof url - 1; size++) {
        uint8_t *out;
        size_t found;
        ks_status status = normalise(url, size, &out, &found);
        free(out);
        int whole_part = (size >= 13 && size <= 19) || size == sizeof url - 1;
        CHECK(status == (whole_part ? KS_OK : KS_E_MALFORMED));
    }
}

/* Characters are counted, not bytes, and before anything else is looked at. */
static void test_size(void) {
    char url[2 * KS_MAX_URL_CHARS + 2];
    uint8_t *out;
    size_t size;
    memset(url, 'a', sizeof url);
    memcpy(url, "http://", 7);
    CHECK(normalise(url, KS_MAX_URL_CHARS, &out, &size) == KS_OK);
    CHECK(size == KS_MAX_URL_CHARS + 1 && out[size - 1] == '/');
    free(out);
    refused_of(url, KS_MAX_URL_CHARS + 1, KS_E_TOO_LARGE);
    for (size_t i = 0; i < KS_MAX_URL_CHARS + 1; i++) {
        memcpy(url + 2 * i, "\xc3\xa9", 2);
    }
    refused_of(url, (size_t)2 * KS_MAX_URL_CHARS, KS_E_MALFORMED);
    refused_of(url, (size_t)2 * KS_MAX_URL_CHARS + 2, KS_E_TOO_LARGE);
}

void test_htu(void) {
    test_spellings();
    test_dot_segments();
    test_other_urls();
    test_cut_off();
    test_size();
}
