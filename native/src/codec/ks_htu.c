#include "codec/ks_htu.h"

#include <string.h>

#define MOST_PORT_DIGITS 5u
#define MOST_PORT 65535u

/* --- characters (RFC 3986, appendix A) ---------------------------------------------------------- */

enum { LETTER = 1, DIGIT = 2, HEX = 4, UNRESERVED = 8, HOST = 16, LITERAL = 32, PATH = 64 };

#define IN_URLS (HOST | PATH)
#define UPPER (LETTER | UNRESERVED | IN_URLS)
#define UPPER_HEX (UPPER | HEX | LITERAL)
#define NUMERAL (DIGIT | HEX | LITERAL | UNRESERVED | IN_URLS)
#define MARK (UNRESERVED | IN_URLS)

static const uint8_t class_of[256] = {
    ['A'] = UPPER_HEX, ['B'] = UPPER_HEX, ['C'] = UPPER_HEX, ['D'] = UPPER_HEX, ['E'] = UPPER_HEX,
    ['F'] = UPPER_HEX, ['G'] = UPPER,     ['H'] = UPPER,     ['I'] = UPPER,     ['J'] = UPPER,
    ['K'] = UPPER,     ['L'] = UPPER,     ['M'] = UPPER,     ['N'] = UPPER,     ['O'] = UPPER,
    ['P'] = UPPER,     ['Q'] = UPPER,     ['R'] = UPPER,     ['S'] = UPPER,     ['T'] = UPPER,
    ['U'] = UPPER,     ['V'] = UPPER,     ['W'] = UPPER,     ['X'] = UPPER,     ['Y'] = UPPER,
    ['Z'] = UPPER,     ['a'] = UPPER_HEX, ['b'] = UPPER_HEX, ['c'] = UPPER_HEX, ['d'] = UPPER_HEX,
    ['e'] = UPPER_HEX, ['f'] = UPPER_HEX, ['g'] = UPPER,     ['h'] = UPPER,     ['i'] = UPPER,
    ['j'] = UPPER,     ['k'] = UPPER,     ['l'] = UPPER,     ['m'] = UPPER,     ['n'] = UPPER,
    ['o'] = UPPER,     ['p'] = UPPER,     ['q'] = UPPER,     ['r'] = UPPER,     ['s'] = UPPER,
    ['t'] = UPPER,     ['u'] = UPPER,     ['v'] = UPPER,     ['w'] = UPPER,     ['x'] = UPPER,
    ['y'] = UPPER,     ['z'] = UPPER,     ['0'] = NUMERAL,   ['1'] = NUMERAL,   ['2'] = NUMERAL,
    ['3'] = NUMERAL,   ['4'] = NUMERAL,   ['5'] = NUMERAL,   ['6'] = NUMERAL,   ['7'] = NUMERAL,
    ['8'] = NUMERAL,   ['9'] = NUMERAL,   ['-'] = MARK,      ['_'] = MARK,      ['~'] = MARK,
    ['.'] = MARK | LITERAL,               [':'] = LITERAL | PATH,               ['@'] = PATH,
    ['/'] = PATH,      ['!'] = IN_URLS,   ['$'] = IN_URLS,   ['&'] = IN_URLS,   ['\''] = IN_URLS,
    ['('] = IN_URLS,   [')'] = IN_URLS,   ['*'] = IN_URLS,   ['+'] = IN_URLS,   [','] = IN_URLS,
    [';'] = IN_URLS,   ['='] = IN_URLS,
};

static int is(uint8_t character, unsigned class) {
    return (class_of[character] & class) != 0;
}

/* --- the parts of a URL ------------------------------------------------------------------------- */

typedef struct parts {
    ks_view scheme, host, path;
    unsigned port; /* 0 where none stands there, or a 0 */
    int has_port;
} parts;

static size_t run_of(ks_view url, size_t at, unsigned class) {
    while (at < url.size && is(url.data[at], class)) {
        at++;
    }
    return at;
}

static int stands(ks_view url, size_t at, uint8_t character) {
    return at < url.size && url.data[at] == character;
}

static int is_escape(ks_view url, size_t at) {
    return url.size - at >= 3 && url.data[at] == '%' && is(url.data[at + 1], HEX) &&
           is(url.data[at + 2], HEX);
}

/* Characters of a path; also question marks where `query`, which is what may follow "?" and "#". */
static size_t path_end(ks_view url, size_t at, int query) {
    while (at < url.size) {
        if (is(url.data[at], PATH) || (query && url.data[at] == '?')) {
            at++;
        } else if (is_escape(url, at)) {
            at += 3;
        } else {
            break;
        }
    }
    return at;
}

/* Each of these reads a part at `*at` and goes behind it; 0 if it is not there. */

static int scheme_read(ks_view url, size_t *at, parts *out) {
    out->scheme = (ks_view){url.data, run_of(url, 0, LETTER)};
    *at = out->scheme.size + 3;
    return url.size >= *at && memcmp(url.data + out->scheme.size, "://", 3) == 0;
}

static int host_read(ks_view url, size_t *at, parts *out) {
    size_t start = *at;
    if (!stands(url, start, '[')) {
        *at = run_of(url, start, HOST);
        out->host = (ks_view){url.data + start, *at - start};
        return *at > start;
    }
    size_t end = run_of(url, start + 1, LITERAL);
    if (end == start + 1 || !stands(url, end, ']')) {
        return 0;
    }
    *at = end + 1;
    out->host = (ks_view){url.data + start, *at - start};
    return 1;
}

static int port_read(ks_view url, size_t *at, parts *out) {
    if (!stands(url, *at, ':')) {
        return 1;
    }
    size_t start = *at + 1, end = run_of(url, start, DIGIT);
    if (end - start > MOST_PORT_DIGITS) {
        return 0;
    }
    for (size_t i = start; i < end; i++) {
        out->port = 10 * out->port + (url.data[i] - (unsigned)'0');
    }
    out->has_port = end > start;
    *at = end;
    return 1;
}

static int rest_read(ks_view url, size_t *at, parts *out) {
    size_t start = *at;
    if (stands(url, *at, '/')) {
        *at = path_end(url, *at, 0);
    }
    out->path = (ks_view){url.data + start, *at - start};
    if (stands(url, *at, '?')) {
        *at = path_end(url, *at + 1, 1);
    }
    if (stands(url, *at, '#')) {
        *at = path_end(url, *at + 1, 1);
    }
    return *at == url.size;
}

static int parts_read(ks_view url, parts *out) {
    size_t at;
    *out = (parts){.port = 0};
    return scheme_read(url, &at, out) && host_read(url, &at, out) && port_read(url, &at, out) &&
           rest_read(url, &at, out);
}

/* --- the one spelling --------------------------------------------------------------------------- */

static uint8_t *copy_lower(uint8_t *out, ks_view text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t character = text.data[i];
        *out++ = character >= 'A' && character <= 'Z' ? (uint8_t)(character | 0x20) : character;
    }
    return out;
}

static uint8_t *copy_port(uint8_t *out, unsigned port) {
    uint8_t digits[MOST_PORT_DIGITS];
    unsigned count = 0;
    for (; port > 0; port /= 10) {
        digits[count++] = (uint8_t)('0' + port % 10);
    }
    *out++ = ':';
    while (count > 0) {
        *out++ = digits[--count];
    }
    return out;
}

static unsigned hex_value(uint8_t digit) {
    return digit <= '9' ? digit - (unsigned)'0' : (digit | 0x20u) - (unsigned)'a' + 10;
}

/* RFC 3986 §6.2.2.2: escapes where they are needed, in upper case. */
static uint8_t *copy_escape(uint8_t *out, const uint8_t escape[3]) {
    static const char digits[] = "0123456789ABCDEF";
    unsigned high = hex_value(escape[1]), low = hex_value(escape[2]);
    uint8_t character = (uint8_t)(high << 4 | low);
    if (is(character, UNRESERVED)) {
        *out++ = character;
        return out;
    }
    *out++ = '%';
    *out++ = (uint8_t)digits[high];
    *out++ = (uint8_t)digits[low];
    return out;
}

/*
 * RFC 3986 §5.2.4. `start` is where the path begins in the output, `slash` where the segment that ends
 * at `out` does. A dot segment goes, with two dots the one before it as well: what is written is
 * taken back at most once, so this is linear. The last segment, if it goes, leaves its slash.
 */
static uint8_t *dots_remove(uint8_t *start, uint8_t *slash, uint8_t *out, int last) {
    size_t size = (size_t)(out - slash);
    if (size == 3 && slash[1] == '.' && slash[2] == '.') {
        out = slash;
        while (out > start && *--out != '/') {
        }
    } else if (size == 2 && slash[1] == '.') {
        out = slash;
    } else {
        return out;
    }
    if (last) {
        *out++ = '/';
    }
    return out;
}

static uint8_t *copy_path(uint8_t *out, ks_view path) {
    uint8_t *start = out, *slash = out;
    for (size_t at = 0; at < path.size;) {
        if (path.data[at] == '%') {
            out = copy_escape(out, path.data + at);
            at += 3;
            continue;
        }
        if (path.data[at] == '/') {
            slash = out = dots_remove(start, slash, out, 0);
        }
        *out++ = path.data[at++];
    }
    if (out == start) {
        *out++ = '/';
        return out;
    }
    return dots_remove(start, slash, out, 1);
}

static size_t characters_of(ks_view text) {
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += (text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

static unsigned default_port(const uint8_t *scheme, size_t size) {
    if (size == 5 && memcmp(scheme, "https", 5) == 0) {
        return 443;
    }
    return size == 4 && memcmp(scheme, "http", 4) == 0 ? 80 : 0;
}

ks_status ks_htu_normalise(ks_view url, uint8_t *out, size_t *size) {
    parts of;
    *size = 0;
    if (characters_of(url) > KS_MAX_URL_CHARS) {
        return KS_E_TOO_LARGE;
    }
    if (!parts_read(url, &of)) {
        return KS_E_MALFORMED;
    }
    uint8_t *end = copy_lower(out, of.scheme);
    unsigned usual = default_port(out, of.scheme.size);
    unsigned port = of.has_port ? of.port : usual;
    if (usual == 0 || port < 1 || port > MOST_PORT) {
        return KS_E_MALFORMED;
    }
    memcpy(end, "://", 3);
    end = copy_lower(end + 3, of.host);
    if (port != usual) {
        end = copy_port(end, port);
    }
    *size = (size_t)(copy_path(end, of.path) - out);
    return KS_OK;
}
