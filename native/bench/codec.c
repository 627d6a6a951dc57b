/*
 * The codecs on what a token brings: nanoseconds of this thread's CPU time a call, the median of rounds
 * that take turns; and the worst JSON text of the largest size that is known.
 *
 *   make -C native bench
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../test/check.h"
#include "codec/ks_base64url_paths.h"
#include "codec/ks_htu.h"
#include "codec/ks_json.h"

#define ROUNDS 51u
#define MOST_CASES 24u
#define SPAN_NS 200000.0 /* of one measurement, about */

static const char header[] = "{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"token-1\"}";
static const char claims[] =
    "{\"iss\":\"https://issuer.example\",\"sub\":\"user-7\",\"aud\":\"https://api.example\","
    "\"client_id\":\"spiffe://example.org/agent/mail\",\"scope\":\"orders:read orders:list\","
    "\"iat\":1799999990,\"exp\":1800000200,\"jti\":\"token-1\",\"txn\":\"transaction-1\","
    "\"auth_time\":1799999400,\"acr\":\"phrh\",\"amr\":[\"pop\",\"user\",\"hwk\"],\"aal\":3,"
    "\"act\":{\"sub\":\"spiffe://example.org/agent/mail\",\"iss\":\"https://issuer.example\","
    "\"attestation\":\"tpm2\"},\"cnf\":{\"jkt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
    "\"residency\":{\"kind\":\"tpm2\",\"protection\":\"non-exportable\",\"hardware\":false,"
    "\"verified_at\":1799999970,\"freshness\":\"challenged\",\"policy\":\"servers/3\","
    "\"result\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}}";
static const char url[] = "https://api.example/orders/2026/%7Ex/../list?page=2";

typedef struct measured {
    const char *name;
    void (*run)(const struct measured *of);
    ks_view in;
    const ks_base64url_path *path;
    size_t repeats;
    double ns[ROUNDS];
} measured;

static ks_json document;
static uint8_t out[KS_MAX_JSON_BYTES];
static ks_status expected;

static void run_json(const measured *of) {
    expected = ks_json_parse_object(of->in, KS_MAX_JSON_DEPTH, &document);
}
static void run_decode(const measured *of) {
    CHECK(ks_base64url_decode_by(of->path, of->in, out) == KS_OK);
}
static void run_encode(const measured *of) {
    ks_base64url_encode(of->in.data, of->in.size, out);
}
static void run_htu(const measured *of) {
    size_t size;
    CHECK(ks_htu_normalise(of->in, out, &size) == KS_OK);
}

static double now_ns(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(const measured *of) {
    double start = now_ns();
    for (size_t i = 0; i < of->repeats; i++) {
        of->run(of);
    }
    return (now_ns() - start) / (double)of->repeats;
}

static int ascending(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* --- texts that cost much ----------------------------------------------------------------------- */

/* `unit` again and again in an object, "%" in it being a number that is never the same. */
static ks_view many(const char *before, const char *unit, const char *after) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char *text = malloc(KS_MAX_JSON_BYTES + 1);
    CHECK(text != NULL);
    size_t size = strlen(before), most = KS_MAX_JSON_BYTES - strlen(after) - strlen(unit) - 4;
    memcpy(text, before, size);
    for (size_t number = 0; size < most; number++) {
        if (number > 0) {
            text[size++] = ',';
        }
        for (const char *from = unit; *from != '\0'; from++) {
            if (*from == '%') {
                text[size++] = digits[number / 62 % 62];
                text[size++] = digits[number % 62];
            } else {
                text[size++] = *from;
            }
        }
    }
    memcpy(text + size, after, strlen(after));
    return (ks_view){(const uint8_t *)text, size + strlen(after)};
}

static ks_view base64url_of(size_t size) {
    uint8_t *text = malloc(size);
    CHECK(text != NULL);
    memset(text, 'A', size);
    return (ks_view){text, size};
}

static ks_view view_of(const char *text) {
    return (ks_view){(const uint8_t *)text, strlen(text)};
}

static measured case_of(const char *name, void (*run)(const measured *), ks_view in,
                        const ks_base64url_path *path) {
    return (measured){.name = name, .run = run, .in = in, .path = path};
}

static size_t cases_of(measured *cases) {
    const ks_base64url_path *paths[KS_BASE64URL_MOST_PATHS];
    size_t count = 0, path_count = ks_base64url_paths(paths);
    for (size_t i = 0; i < path_count; i++) {
        cases[count++] = case_of("base64url, 879 characters", run_decode, base64url_of(879), paths[i]);
        cases[count++] = case_of("base64url, 86 characters", run_decode, base64url_of(86), paths[i]);
    }
    cases[count++] = case_of("base64url encode, 32 bytes", run_encode, base64url_of(32), NULL);
    cases[count++] = case_of("JSON, a token's header", run_json, view_of(header), NULL);
    cases[count++] = case_of("JSON, a token's claims", run_json, view_of(claims), NULL);
    cases[count++] = case_of("URL", run_htu, view_of(url), NULL);
    const struct {
        const char *name, *before, *unit, *after;
    } worst[] = {
        {"worst: short names", "{", "\"%\":0", "}"},
        {"worst: names alike", "{", "\"aaaaaa%\":0", "}"},
        {"worst: long names alike", "{", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%\":0", "}"},
        {"worst: small objects", "{\"a\":[", "{\"a\":0,\"b\":0,\"c\":0}", "]}"},
        {"worst: escapes", "{\"a\":[", "\"\\n\\n\\n\\n\"", "]}"},
        {"worst: other scripts", "{\"a\":[", "\"\xc3\xa9\xc3\xa9z\xc3\xa9\"", "]}"},
        {"worst: short doubles", "{\"a\":[", "1e-9", "]}"},
        {"worst: large doubles", "{\"a\":[", "9e299", "]}"},
        {"worst: long doubles", "{\"a\":[", "1.0000000000000001110223024625156540e-99", "]}"},
        {"worst: longest doubles", "{\"a\":[",
         "1.00000000000000011102230246251565404236316680908203126e-99", "]}"},
        {"worst: brackets, refused", "", "[[\"\\\"]]", ""},
    };
    for (size_t i = 0; i < sizeof worst / sizeof worst[0]; i++) {
        cases[count++] = case_of(worst[i].name, run_json,
                                  many(worst[i].before, worst[i].unit, worst[i].after), NULL);
    }
    return count;
}

int main(void) {
    static measured cases[MOST_CASES];
    size_t count = cases_of(cases);
    for (size_t i = 0; i < count; i++) {
        cases[i].repeats = 1;
        cases[i].repeats = 1 + (size_t)(SPAN_NS / (measure(&cases[i]) + measure(&cases[i]) + 1));
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            cases[i].ns[round] = measure(&cases[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        qsort(cases[i].ns, ROUNDS, sizeof cases[i].ns[0], ascending);
        printf("%-34s %-8s %6zu bytes %10.1f ns\n", cases[i].name,
               cases[i].path != NULL ? cases[i].path->name : "", cases[i].in.size,
               cases[i].ns[ROUNDS / 2]);
    }
    return 0;
}
