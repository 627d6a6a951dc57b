#include "ks_members.h"
#include "ks_token.h"

typedef struct algorithm_name {
    ks_name name;
    ks_algorithm algorithm;
} algorithm_name;

static const algorithm_name names[KS_ALGORITHM_NAMES] = {
    {KS_NAME("ES256"), KS_ES256},   {KS_NAME("ES384"), KS_ES384}, {KS_NAME("ES512"), KS_ES512},
    {KS_NAME("EdDSA"), KS_ED25519}, {KS_NAME("RS256"), KS_RS256}, {KS_NAME("PS256"), KS_PS256},
    {KS_NAME("Ed25519"), KS_ED25519},
};

const char *ks_algorithm_name(unsigned index) {
    return index < KS_ALGORITHM_NAMES ? names[index].name.text : NULL;
}

ks_algorithm ks_algorithm_of_name(unsigned index) {
    return names[index].algorithm;
}

unsigned ks_algorithm_find(ks_view name) {
    unsigned index = 0;
    while (index < KS_ALGORITHM_NAMES && !ks_text_is(name, names[index].name)) {
        index++;
    }
    return index;
}
