/* schema_format.c -- the formats of JSON Schema (draft 2020-12, section 7.3) as patterns.
 *
 * A pattern may be narrower than its document, never wider: what is generated has the format. 
 * Dates are dates that exist, leap years included; e-mail addresses are dot-atoms at host names;
 * leap seconds and the year 0000 are left out. */
#include "constrain/schema.h"

#include <string.h>

#define DATE                                                                                       \
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-" \
    "9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|"   \
    "[2468][048]|[13579][26])00)-02-29)"
#define TIME                                                                                       \
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0" \
    "-5][0-9])"
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST LABEL "(?:\\." LABEL ")*"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 OCTET "(?:\\." OCTET "){3}"
#define GROUP "[0-9A-Fa-f]{1,4}"
#define TAIL "(?:" GROUP ":" GROUP "|" IPV4 ")"
#define IPV6 /* RFC 3986, appendix A */                                                            \
    "(?:(?:" GROUP ":){6}" TAIL "|::(?:" GROUP ":){5}" TAIL "|(?:" GROUP ")?::(?:" GROUP           \
    ":){4}" TAIL "|(?:(?:" GROUP ":){0,1}" GROUP ")?::(?:" GROUP ":){3}" TAIL "|(?:(?:" GROUP      \
    ":){0,2}" GROUP ")?::(?:" GROUP ":){2}" TAIL "|(?:(?:" GROUP ":){0,3}" GROUP ")?::" GROUP      \
    ":" TAIL "|(?:(?:" GROUP ":){0,4}" GROUP ")?::" TAIL "|(?:(?:" GROUP ":){0,5}" GROUP           \
    ")?::" GROUP "|(?:(?:" GROUP ":){0,6}" GROUP ")?::)"
#define PERCENT "%[0-9A-Fa-f]{2}"
#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|" PERCENT ")"
#define AUTHORITY                                                                                  \
    "(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|" PERCENT ")*@)?(?:\\[" IPV6                                \
    "\\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|" PERCENT ")*)(?::[0-9]*)?"
#define QUERY "(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define URI                                                                                        \
    "[A-Za-z][A-Za-z0-9+.-]*:(?://" AUTHORITY "(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR          \
    "*)*)?|" PCHAR "+(?:/" PCHAR "*)*|)" QUERY
#define REFERENCE                                                                                  \
    "(?://" AUTHORITY "(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR                                  \
    "*)*)?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|" PERCENT ")+(?:/" PCHAR "*)*|)" QUERY
#define HOURS "(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^(?!0000)" DATE "$"},
    {"date-time", "^(?!0000)" DATE "T" TIME "$"},
    {"duration",
     "^P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:T" HOURS
     ")?|T" HOURS ")$"},
    {"email", "^(?=[^@]{1,64}@)(?!(?:.*[@.])?[^@.]{2}--)" ATOM "(?:\\." ATOM ")*@" HOST "$"},
    {"hostname", "^(?=.{1,253}$)(?!(?:.*\\.)?[^.]{2}--)" HOST "$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^" IPV6 "$"},
    {"json-pointer", "^(?:/(?:[^/~]|~[01])*)*$"},
    {"password", ""},
    {"relative-json-pointer", "^(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^/~]|~[01])*)*)$"},
    {"time", "^" TIME "$"},
    {"uri", "^" URI "$"},
    {"uri-reference", "^(?:" URI "|" REFERENCE ")$"},
    {"uuid", "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"},
};

const char *upg_format_pattern(const char *format)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, format) == 0)
            return formats[i].pattern;
    return NULL;
}
