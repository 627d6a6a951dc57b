/* The JSON parser; the differential tests hold it to the readable one in full. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec/ks_json.h"

static ks_json document;
/* What the last document borrows, of exactly its size for the address sanitizer to watch. */
static uint8_t *text;

static ks_status parse_bytes(const char *bytes, size_t size, unsigned max_depth) {
    free(text);
    text = malloc(size);
    CHECK(text != NULL || size == 0);
    if (size > 0) {
        memcpy(text, bytes, size);
    }
    return ks_json_parse_object((ks_view){text, size}, max_depth, &document);
}

static ks_status parse_to(const char *json, unsigned max_depth) {
    return parse_bytes(json, strlen(json), max_depth);
}
static ks_status parse(const char *json) {
    return parse_to(json, KS_MAX_JSON_DEPTH);
}

/* What becomes of a value that stands in an object alone. */
static const ks_json_value *value_of(const char *json) {
    char object[256];
    int size = snprintf(object, sizeof object, "{\"a\":%s}", json);
    CHECK(size > 0 && (size_t)size < sizeof object);
    CHECK(parse(object) == KS_OK);
    CHECK(ks_json_member(&document, 0, "a") == 2);
    return &document.values[2];
}

static void refused_value(const char *json) {
    char object[256];
    int size = snprintf(object, sizeof object, "{\"a\":%s}", json);
    CHECK(size > 0 && (size_t)size < sizeof object);
    CHECK(parse(object) == KS_E_MALFORMED);
}

static int is_text(const ks_json_value *value, const char *expected, size_t characters) {
    ks_view view = {(const uint8_t *)expected, strlen(expected)};
    return ks_json_is(value, view) && value->count == characters;
}

/* --- documents ---------------------------------------------------------------------------------- */

/* The example of ks_json.h. */
static void test_layout(void) {
    static const uint8_t kinds[] = {KS_JSON_OBJECT, KS_JSON_STRING, KS_JSON_ARRAY,  KS_JSON_STRING,
                                    KS_JSON_STRING, KS_JSON_STRING, KS_JSON_INTEGER};
    static const uint32_t afters[] = {7, 2, 5, 4, 5, 6, 7};
    CHECK(parse("{\"aud\":[\"a\",\"b\"],\"exp\":7}") == KS_OK);
    CHECK(document.count == 7 && document.values[0].count == 2 && document.values[2].count == 2);
    for (size_t i = 0; i < 7; i++) {
        CHECK(document.values[i].kind == kinds[i] && document.values[i].after == afters[i]);
    }
    CHECK(ks_json_member(&document, 0, "aud") == 2 && ks_json_member(&document, 0, "exp") == 6);
    CHECK(ks_json_member(&document, 0, "a") == 0 && ks_json_member(&document, 0, "") == 0);
    CHECK(ks_json_member(&document, 0, "au") == 0 && ks_json_member(&document, 0, "audi") == 0);
    CHECK(document.values[6].as.integer == 7 && is_text(&document.values[4], "b", 1));
    CHECK(!ks_json_is(&document.values[6], (ks_view){NULL, 0}));
}

static void test_members_of_a_nested_object(void) {
    CHECK(parse("{\"x\":{\"y\":{},\"z\":1},\"z\":2}") == KS_OK);
    size_t x = ks_json_member(&document, 0, "x");
    CHECK(document.values[ks_json_member(&document, x, "z")].as.integer == 1);
    CHECK(document.values[ks_json_member(&document, 0, "z")].as.integer == 2);
    CHECK(ks_json_member(&document, ks_json_member(&document, x, "y"), "z") == 0);
}

static void test_cut_off(void) {
    static const char json[] =
        " {\"a\\u0062\\\"\" : [ true , null,false,-1.5e+3 ,\"\xf0\x9f\x98\x80\"] , \"c\":{} }\n";
    size_t size = sizeof json - 1;
    for (size_t cut = 0; cut < size - 1; cut++) {
        CHECK(parse_bytes(json, cut, KS_MAX_JSON_DEPTH) == KS_E_MALFORMED);
        CHECK(document.count == 0);
    }
    CHECK(parse_bytes(json, size - 1, KS_MAX_JSON_DEPTH) == KS_OK);
    CHECK(parse_bytes(json, size, KS_MAX_JSON_DEPTH) == KS_OK);
}

static void test_other_texts(void) {
    static const char *const texts[] = {
        "",           " ",          "1",         "[]",         "\"a\"",       "null",
        "{}{}",       "{} x",       "{},",       "{\"a\"}",    "{\"a\":}",    "{\"a\":1,}",
        "{a:1}",      "{,}",        "{1:1}",     "{\"a\" 1}",  "{\"a\":1 \"b\":2}",
        "{'a':1}",    "{\"a\":[1,]}", "{\"a\":[,]}", "{\"a\":[1 2]}", "{\"a\":[1}", "{\"a\":{]}",
        "{\"a\":tru}", "{\"a\":True}", "{\"a\":nul", "{\"a\":nullx}", "{/**/}", "\xef\xbb\xbf{}",
        "\v{}",       "\xc2\xa0{}", "{}\f",      "{\"a\":1}\\",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK(parse(texts[i]) == KS_E_MALFORMED);
    }
    CHECK(parse_bytes(NULL, 0, KS_MAX_JSON_DEPTH) == KS_E_MALFORMED);
    CHECK(parse_bytes("{}\0", 3, KS_MAX_JSON_DEPTH) == KS_E_MALFORMED);
    CHECK(parse(" \t\r\n{ \t\r\n} \t\r\n") == KS_OK && document.count == 1);
}

/* --- bounds ------------------------------------------------------------------------------------- */

static void test_size(void) {
    static char json[KS_MAX_JSON_BYTES + 1];
    memset(json, ' ', sizeof json);
    memcpy(json, "{}", 2);
    CHECK(parse_bytes(json, KS_MAX_JSON_BYTES, KS_MAX_JSON_DEPTH) == KS_OK);
    CHECK(parse_bytes(json, KS_MAX_JSON_BYTES + 1, KS_MAX_JSON_DEPTH) == KS_E_TOO_LARGE);
    json[2] = '\xff'; /* the size is looked at first */
    CHECK(parse_bytes(json, KS_MAX_JSON_BYTES + 1, KS_MAX_JSON_DEPTH) == KS_E_TOO_LARGE);
    CHECK(parse_bytes(json, KS_MAX_JSON_BYTES, KS_MAX_JSON_DEPTH) == KS_E_MALFORMED);
}

/* No text of that size has more values: two characters each. */
static void test_most_values(void) {
    static char json[KS_MAX_JSON_BYTES];
    memset(json, '0', sizeof json);
    memcpy(json, "{\"a\":[", 6);
    for (size_t at = 7; at < sizeof json - 2; at += 2) {
        json[at] = ',';
    }
    memcpy(json + sizeof json - 2, "]}", 2);
    CHECK(parse_bytes(json, sizeof json, KS_MAX_JSON_DEPTH) == KS_E_MALFORMED); /* "00" */
    memcpy(json + sizeof json - 3, " ]}", 3);
    json[sizeof json - 4] = '0';
    CHECK(parse_bytes(json, sizeof json, KS_MAX_JSON_DEPTH) == KS_OK);
    CHECK(document.count == 3 + document.values[2].count && document.count > 4090);
    memset(json, '[', sizeof json);
    CHECK(parse_bytes(json, sizeof json, KS_MAX_JSON_DEPTH) == KS_E_TOO_LARGE);
}

static void test_longest_escaped_strings(void) {
    static char json[KS_MAX_JSON_BYTES + 1];
    memset(json, 'x', sizeof json - 1);
    memcpy(json, "{\"\\n", 4);
    memcpy(json + sizeof json - 6, "\":\"\"}", 5);
    CHECK(parse(json) == KS_OK);
    CHECK(document.values[1].count == KS_MAX_JSON_BYTES - 8 && document.values[1].has_control);
}

static void test_depth(void) {
    CHECK(parse_to("{\"a\":[{}]}", 3) == KS_OK);
    CHECK(parse_to("{\"a\":[{}]}", 2) == KS_E_TOO_LARGE);
    CHECK(parse_to("{\"a\":[],\"b\":[]}", 2) == KS_OK);
    CHECK(parse_to("{}", 0) == KS_E_TOO_LARGE);
    CHECK(parse_to("{}", KS_MAX_JSON_DEPTH + 1) == KS_E_ARGUMENT);
    CHECK(parse_to("{\"[[[\\\"[\\\\\":\"{{{\"}", 1) == KS_OK);
}

/* Depth is said before anything that is wrong with the syntax, in front of it or behind. */
static void test_depth_comes_first(void) {
    static const struct {
        const char *json;
        ks_status expected;
    } cases[] = {
        {"x[[[", KS_E_TOO_LARGE},
        {"{\"a\":1,\"a\":2}[[[", KS_E_TOO_LARGE},
        {"{}[[", KS_E_MALFORMED},
        {"]]][[[[[", KS_E_MALFORMED},     /* closed in advance */
        {"\"[[[", KS_E_MALFORMED},        /* a string without an end */
        {"\\\"[[[", KS_E_TOO_LARGE},      /* a quote that begins none */
        {"\\\\\"[[[", KS_E_MALFORMED},    /* one that does */
        {"\"\\n\\\\\"[[[", KS_E_TOO_LARGE},
        {"\xff[[[", KS_E_MALFORMED}, /* but UTF-8 is before it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(parse_to(cases[i].json, 2) == cases[i].expected);
    }
}

/* --- duplicates --------------------------------------------------------------------------------- */

static void test_duplicates(void) {
    CHECK(parse("{\"a\":1,\"b\":2,\"a\":3}") == KS_E_DUPLICATE);
    CHECK(parse("{\"a\":1,\"\\u0061\":3}") == KS_E_DUPLICATE);
    CHECK(parse("{\"\":1,\"\":3}") == KS_E_DUPLICATE);
    CHECK(parse("{\"x\":[{\"a\":1,\"a\":1}],") == KS_E_DUPLICATE); /* found when it closes */
    CHECK(parse("[{\"a\":1,\"a\":1}]") == KS_E_DUPLICATE);
    CHECK(parse("{\"a\":1,\"a\":1") == KS_E_MALFORMED);
    CHECK(parse("{\"a\":1,\"a\":01}") == KS_E_MALFORMED);
    CHECK(parse("{\"\\ud800\":1,\"\\ud800\":1}") == KS_E_DUPLICATE);
    CHECK(parse("{\"\\ud800\":1,\"\\ud801\":1}") == KS_E_MALFORMED);
    CHECK(parse("{\"a\":{\"a\":1},\"b\":{\"a\":1}}") == KS_OK);
    CHECK(parse("{\"a\\u0000\":1,\"a\":1}") == KS_OK);
}

/* `count` names of eight characters that begin alike; the one at `copy` is that at `of` again. */
static ks_status parse_many(size_t count, size_t copy, size_t of) {
    static char json[KS_MAX_JSON_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        int written = snprintf(json + size, sizeof json - size, "%c\"%s%02zx\":0", i > 0 ? ',' : '{',
                               i % 2 == 0 ? "name-" : "", i == copy ? of : i);
        CHECK(written > 0);
        size += (size_t)written;
    }
    json[size++] = '}';
    return parse_bytes(json, size, KS_MAX_JSON_DEPTH);
}

static void test_many_names(void) {
    for (size_t count = 1; count < 100; count++) {
        CHECK(parse_many(count, count, count) == KS_OK);
        for (size_t copy = 2; copy < count; copy += 3) {
            CHECK(parse_many(count, copy, copy - 2) == KS_E_DUPLICATE);
            CHECK(parse_many(count, copy, copy % 2) == KS_E_DUPLICATE);
        }
    }
}

/* --- values ------------------------------------------------------------------------------------- */

static void test_words(void) {
    CHECK(value_of("null")->kind == KS_JSON_NULL);
    CHECK(value_of("false")->kind == KS_JSON_FALSE);
    CHECK(value_of("true")->kind == KS_JSON_TRUE);
}

static void test_integers(void) {
    CHECK(value_of("0")->as.integer == 0 && value_of("0")->kind == KS_JSON_INTEGER);
    CHECK(value_of("-0")->as.integer == 0 && value_of("-0")->kind == KS_JSON_INTEGER);
    CHECK(value_of("9223372036854775807")->as.integer == INT64_MAX);
    CHECK(value_of("-9223372036854775807")->as.integer == -INT64_MAX);
    static const char *const others[] = {
        "9223372036854775808", "-9223372036854775808", "18446744073709551617", "01", "-01", "-",
        "+1", "1.", ".5", "1e", "1e+", "0x1", "1_0", "--1", "NaN", "Infinity", "-Infinity", "1 2",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        refused_value(others[i]);
    }
}

static void test_doubles(void) {
    CHECK(value_of("1.0")->kind == KS_JSON_NUMBER && value_of("1.0")->as.number == 1.0);
    CHECK(value_of("0.1")->as.number == 0.1 && value_of("-2.5E-1")->as.number == -0.25);
    CHECK(signbit(value_of("-0.0")->as.number) && value_of("-0e0")->as.number == 0);
    CHECK(value_of("1e-400")->as.number == 0 && value_of("5e-324")->as.number == 0x1p-1074);
    CHECK(value_of("1.7976931348623157e308")->as.number == 0x1.fffffffffffffp1023);
    CHECK(value_of("9007199254740993.0")->as.number == 9007199254740992.0); /* a tie: to even */
    CHECK(value_of("9007199254740993.00000000000000000000000000000000000000000000001")->as.number ==
          9007199254740994.0);
    refused_value("1e309");
    refused_value("-1.7976931348623159e308");
    CHECK(value_of("0.00000000000000000000000000000000000000000000000000000000000000")->kind ==
          KS_JSON_NUMBER);
    refused_value("0.000000000000000000000000000000000000000000000000000000000000000");
}

static void test_strings(void) {
    CHECK(is_text(value_of("\"\""), "", 0));
    CHECK(is_text(value_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t", 8));
    CHECK(is_text(value_of("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
                  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 3));
    CHECK(is_text(value_of("\"\\u00e9\\u20AC\\uD83D\\ude00\""),
                  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 3));
    CHECK(is_text(value_of("\"\\uffff\\ud7ff\\ue000\""), "\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80", 3));
    CHECK(value_of("\"\\u0000\"")->as.text.size == 1 && document.values[2].has_control);
    static const char *const others[] = {
        "\"\\u12\"", "\"\\u123g\"", "\"\\x41\"", "\"\\\"", "\"\\'\"", "\"\\ud800\"", "\"\\udc00\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\\ud800\"", "\"\\ud800\\ud800\\udc00\"", "\"\\ud800\\uzzzz\"",
        "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\x80\"",
        "\"\xe0\x80\x80\"", "\"\xf0\x80\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xc1\xbf\"",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        refused_value(others[i]);
    }
}

/* Every byte at every place of strings of every length that a register or two can hold. */
static void test_every_byte_everywhere(void) {
    char string[48];
    for (size_t size = 1; size <= 40; size++) {
        for (size_t at = 0; at < size; at++) {
            for (unsigned byte = 1; byte < 256; byte++) {
                memset(string, 'x', sizeof string);
                string[0] = string[size + 1] = '"';
                string[size + 2] = '\0';
                string[at + 1] = (char)byte;
                if (byte < ' ' || byte == '"' || byte == '\\' || byte >= 0x80) {
                    refused_value(string);
                } else {
                    const ks_json_value *value = value_of(string);
                    CHECK(value->count == size && value->has_control == (byte == 0x7f));
                    CHECK(value->as.text.data[at] == byte);
                }
            }
        }
    }
}

void test_json(void) {
    test_layout();
    test_members_of_a_nested_object();
    test_cut_off();
    test_other_texts();
    test_size();
    test_most_values();
    test_longest_escaped_strings();
    test_depth();
    test_depth_comes_first();
    test_duplicates();
    test_many_names();
    test_words();
    test_integers();
    test_doubles();
    test_strings();
    test_every_byte_everywhere();
    free(text);
    text = NULL;
}
