/* schema_number.c -- numbers as decimal texts.
 *
 * Without limits a number is written as JSON has it.  With minimum, maximum, multipleOf or
 * exclusions it is written in plain decimal digits, without an exponent, so that comparing
 * values is comparing digits, and 0 is not written as -0.  Integers have neither fraction nor
 * exponent.
 *
 * A limit is taken as the shortest decimal number that reads as the schema's double. */
#include "constrain/schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIGITS = 340 };

/* |value| in plain digits: whole without leading zeros ("0" if there is none), part without
 * trailing ones ("" if there is none). */
struct decimal {
    bool is_negative;
    char whole[MAX_DIGITS], part[MAX_DIGITS];
};

/* The shortest of %.15g, %.16g and %.17g that reads back as the same number. */
static void shortest_text(double value, char text[32])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

static struct decimal decimal_of(const json_t *number)
{
    char text[32], digits[32], *exponent;
    struct decimal d = {0};
    size_t n_digits = 0, n_whole = 0;
    bool has_point = false;
    long point = 0; /* digits in front of the point; may be negative */

    if (json_is_integer(number))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(number));
    else
        shortest_text(json_real_value(number), text);
    d.is_negative = text[0] == '-';
    exponent = strchr(text, 'e');
    for (const char *c = text; *c && *c != 'e'; c++) {
        has_point |= *c == '.';
        if (*c >= '0' && *c <= '9') {
            digits[n_digits++] = *c;
            point += !has_point;
        }
    }
    if (exponent)
        point += strtol(exponent + 1, NULL, 10);
    for (long i = 0; i < point && n_whole < MAX_DIGITS - 1; i++) {
        const char c = (size_t)i < n_digits ? digits[i] : '0';
        if (c != '0' || n_whole > 0)
            d.whole[n_whole++] = c;
    }
    if (n_whole == 0)
        d.whole[0] = '0';
    n_whole = 0;
    for (long i = point; i < (long)n_digits && n_whole < MAX_DIGITS - 1; i++)
        d.part[n_whole++] = i < 0 ? '0' : digits[i];
    while (n_whole > 0 && d.part[n_whole - 1] == '0')
        d.part[--n_whole] = '\0';
    return d;
}

static bool is_zero(const struct decimal *d)
{
    return strcmp(d->whole, "0") == 0 && d->part[0] == '\0';
}

static upg_expr digit(struct upg_exprs *x, char first, char last)
{
    return first <= last ? upg_expr_range(x, (unsigned char)first, (unsigned char)last)
                         : UPG_EXPR_NONE;
}

static upg_expr digits(struct upg_exprs *x, uint32_t min, uint32_t max)
{
    return upg_expr_repeat(x, digit(x, '0', '9'), min, max);
}

/* Whole numbers without a sign: 0, or digits that do not begin with 0. */
static upg_expr any_whole(struct upg_exprs *x)
{
    return upg_expr_or2(x, digit(x, '0', '0'),
                        upg_expr_concat(x, digit(x, '1', '9'), digits(x, 0, UPG_EXPR_UNBOUNDED)));
}

/* A point and digits, or nothing. */
static upg_expr any_part(struct upg_exprs *x)
{
    return upg_expr_optional(
        x, upg_expr_concat(x, upg_expr_text(x, ".", 1), digits(x, 1, UPG_EXPR_UNBOUNDED)));
}

/* Whole numbers beyond `whole` in the direction: with the same number of digits, or more or
 * fewer. */
static upg_expr whole_beyond(struct upg_exprs *x, const char *whole, bool greater)
{
    const uint32_t n = (uint32_t)strlen(whole);
    upg_expr e = UPG_EXPR_NONE;

    for (uint32_t i = 0; i < n; i++) { /* the first i digits are the same, the next is beyond */
        const char lowest = i == 0 && n > 1 ? '1' : '0';
        const upg_expr next =
            greater ? digit(x, (char)(whole[i] + 1), '9') : digit(x, lowest, (char)(whole[i] - 1));

        e = upg_expr_or2(
            x, e,
            upg_expr_concat3(x, upg_expr_text(x, whole, i), next, digits(x, n - 1 - i, n - 1 - i)));
    }
    if (greater)
        return upg_expr_or2(
            x, e, upg_expr_concat(x, digit(x, '1', '9'), digits(x, n, UPG_EXPR_UNBOUNDED)));
    if (n > 1)
        e = upg_expr_or2(x, e, digit(x, '0', '0'));
    if (n > 1)
        e = upg_expr_or2(x, e, upg_expr_concat(x, digit(x, '1', '9'), digits(x, 0, n - 2)));
    return e;
}

/* Fractions, with their point, beyond `part` in the direction. */
static upg_expr part_beyond(struct upg_exprs *x, const char *part, bool greater)
{
    const uint32_t n = (uint32_t)strlen(part);
    const upg_expr rest = digits(x, 0, UPG_EXPR_UNBOUNDED);
    upg_expr e = UPG_EXPR_NONE, more;

    for (uint32_t i = 0; i < n; i++) {
        const upg_expr next =
            greater ? digit(x, (char)(part[i] + 1), '9') : digit(x, '0', (char)(part[i] - 1));

        e = upg_expr_or2(x, e, upg_expr_concat3(x, upg_expr_text(x, part, i), next, rest));
        if (!greater && i > 0) /* the first i digits alone are less: part ends with no 0 */
            e = upg_expr_or2(x, e, upg_expr_text(x, part, i));
    }
    if (greater) { /* the same digits, and another that is not 0 */
        more = upg_expr_concat3(x, rest, digit(x, '1', '9'), rest);
        e = upg_expr_or2(x, e, upg_expr_concat(x, upg_expr_text(x, part, n), more));
    }
    e = upg_expr_concat(x, upg_expr_text(x, ".", 1), e);
    return greater || n == 0 ? e : upg_expr_optional(x, e);
}

/* Fractions equal to `part`, with zeros behind. */
static upg_expr part_equal(struct upg_exprs *x, const char *part)
{
    const upg_expr zero = digit(x, '0', '0');
    const upg_expr point = upg_expr_text(x, ".", 1);

    if (*part)
        return upg_expr_concat3(x, point, upg_expr_text(x, part, strlen(part)),
                                upg_expr_repeat(x, zero, 0, UPG_EXPR_UNBOUNDED));
    return upg_expr_optional(
        x, upg_expr_concat(x, point, upg_expr_repeat(x, zero, 1, UPG_EXPR_UNBOUNDED)));
}

/* Unsigned numbers beyond |d| in the direction, or also equal to it. */
static upg_expr beyond(struct upg_exprs *x, const struct decimal *d, bool greater, bool or_equal)
{
    const upg_expr whole = upg_expr_text(x, d->whole, strlen(d->whole));
    upg_expr part = part_beyond(x, d->part, greater);

    if (or_equal)
        part = upg_expr_or2(x, part, part_equal(x, d->part));
    return upg_expr_or2(x, upg_expr_concat(x, whole_beyond(x, d->whole, greater), any_part(x)),
                        upg_expr_concat(x, whole, part));
}

/* Numbers with a sign, in plain digits, on one side of a limit. */
static upg_expr side_of(struct upg_exprs *x, const struct decimal *d, bool greater, bool or_equal)
{
    static const struct decimal zero = {.whole = "0"};
    const upg_expr minus = upg_expr_text(x, "-", 1);
    const bool in_negative = d->is_negative && !is_zero(d);
    const bool has_zero = is_zero(d) ? or_equal : in_negative == greater;
    upg_expr below = UPG_EXPR_NONE,
             above = UPG_EXPR_NONE; /* of numbers less than 0, and the rest */

    if (in_negative == greater) /* one half is allowed as a whole */
        *(greater ? &above : &below) = beyond(x, &zero, true, greater);
    if (in_negative)
        below = beyond(x, d, !greater, or_equal);
    else
        above = beyond(x, d, greater, or_equal);
    if (has_zero) /* -0 is 0 */
        below = upg_expr_or2(x, below, upg_expr_concat(x, digit(x, '0', '0'), part_equal(x, "")));
    return upg_expr_or2(x, above, upg_expr_concat(x, minus, below));
}

/* The limits of one schema: draft 4 says exclusiveMinimum true beside minimum. */
static upg_expr add_limits(struct upg_exprs *x, const json_t *schema, upg_expr e)
{
    static const char *const keys[2][2] = {{"minimum", "exclusiveMinimum"},
                                           {"maximum", "exclusiveMaximum"}};

    for (size_t i = 0; i < 2; i++) {
        const json_t *limit = json_object_get(schema, keys[i][0]);
        const json_t *exclusive = json_object_get(schema, keys[i][1]);
        struct decimal d;

        if (limit) {
            d = decimal_of(limit);
            e = upg_expr_and2(x, e, side_of(x, &d, i == 0, !json_is_true(exclusive)));
        }
        if (json_is_number(exclusive)) {
            d = decimal_of(exclusive);
            e = upg_expr_and2(x, e, side_of(x, &d, i == 0, false));
        }
    }
    return e;
}

/* Multiples of a number, as far as it has few digits. */
static upg_expr multiples(struct upg_schema_context *ctx, const struct upg_element *element)
{
    struct upg_exprs *x = ctx->x;
    const struct decimal d = decimal_of(json_object_get(element->schema, "multipleOf"));
    const size_t n_places = strlen(d.part);
    char text[MAX_DIGITS + 32];
    unsigned long long modulus;

    snprintf(text, sizeof text, "%s%.20s", d.whole, d.part);
    modulus = strtoull(text, NULL, 10);
    if (n_places > UPG_EXPR_MAX_PLACES || strlen(d.whole) > 10 || modulus > UPG_EXPR_MAX_MODULUS) {
        upg_schema_fail(ctx, UPG_ERR_UNSUPPORTED, element->path, "multipleOf",
                        "only numbers of up to %u without the point and %d places are supported",
                        UPG_EXPR_MAX_MODULUS, UPG_EXPR_MAX_PLACES);
        return UPG_EXPR_NONE;
    }
    return upg_expr_concat(x, upg_expr_optional(x, upg_expr_text(x, "-", 1)),
                           upg_expr_remainder(x, (uint32_t)modulus, 0, (uint32_t)n_places));
}

static bool has_limits(const json_t *schema)
{
    return json_object_get(schema, "minimum") || json_object_get(schema, "maximum") ||
           json_object_get(schema, "exclusiveMinimum") ||
           json_object_get(schema, "exclusiveMaximum");
}

/* JSON's own notation.  Exponents end at 307, so that usual readers do not see infinity. */
static upg_expr json_number(struct upg_exprs *x)
{
    const upg_expr up_to_299 =
        upg_expr_concat(x, upg_expr_optional(x, digit(x, '1', '2')), digits(x, 1, 2));
    const upg_expr up_to_307 = upg_expr_concat(x, upg_expr_text(x, "30", 2), digit(x, '0', '7'));
    const upg_expr e = upg_expr_or2(x, upg_expr_text(x, "e", 1), upg_expr_text(x, "E", 1));
    const upg_expr sign = upg_expr_or2(x, upg_expr_text(x, "+", 1), upg_expr_text(x, "-", 1));
    const upg_expr exponent =
        upg_expr_concat3(x, e, upg_expr_optional(x, sign), upg_expr_or2(x, up_to_299, up_to_307));
    const upg_expr minus = upg_expr_optional(x, upg_expr_text(x, "-", 1));

    return upg_expr_concat(x, upg_expr_concat3(x, minus, any_whole(x), any_part(x)),
                           upg_expr_optional(x, exponent));
}

/* All numbers in plain digits, or integers: as they are written, or as they are excluded. */
static upg_expr plain_number(struct upg_exprs *x, const struct upg_facts *facts)
{
    upg_expr part = any_part(x);

    if (!(facts->types & UPG_TYPE_FRACTION))
        part = facts->is_excluded ? part_equal(x, "") : UPG_EXPR_EPSILON;
    return upg_expr_concat3(x, upg_expr_optional(x, upg_expr_text(x, "-", 1)), any_whole(x), part);
}

/* All spellings of -0, which is within a limit where 0 is, but need not be written then. */
static upg_expr minus_zero(struct upg_exprs *x)
{
    return upg_expr_concat(x, upg_expr_text(x, "-0", 2), part_equal(x, ""));
}

upg_expr upg_schema_number(struct upg_schema_context *ctx, const struct upg_facts *facts)
{
    const bool integers = !(facts->types & UPG_TYPE_FRACTION);
    bool has_literals, is_plain = integers || facts->nots.n > 0 || facts->is_excluded;
    upg_expr e = upg_schema_literals(ctx, facts, facts->types & UPG_TYPE_NUMBER, &has_literals);

    if (has_literals) /* they were compared with the limits as numbers */
        return upg_schema_without_nots(ctx, facts, UPG_TYPE_NUMBER, e);
    for (size_t i = 0; i < facts->base.n; i++) {
        const struct upg_element *element = &ctx->elements[facts->base.items[i]];

        if (has_limits(element->schema)) {
            e = add_limits(ctx->x, element->schema, e);
            is_plain = true;
        }
        if (json_object_get(element->schema, "multipleOf")) {
            e = upg_expr_and2(ctx->x, e, multiples(ctx, element));
            is_plain = true;
        }
    }
    if (e != UPG_EXPR_ALL && !facts->is_excluded)
        e = upg_expr_and2(ctx->x, e, upg_expr_not(ctx->x, minus_zero(ctx->x)));
    e = upg_expr_and2(ctx->x, e, is_plain ? plain_number(ctx->x, facts) : json_number(ctx->x));
    return upg_schema_without_nots(ctx, facts, UPG_TYPE_NUMBER, e);
}

/* A literal against the limits of a schema. */
bool upg_schema_number_fits(const json_t *schema, const json_t *number)
{
    const double value = json_number_value(number);
    const json_t *min = json_object_get(schema, "minimum");
    const json_t *max = json_object_get(schema, "maximum");
    const json_t *above = json_object_get(schema, "exclusiveMinimum");
    const json_t *below = json_object_get(schema, "exclusiveMaximum");
    const json_t *step = json_object_get(schema, "multipleOf");
    const double quotient = step ? value / json_number_value(step) : 0;

    if (!(upg_schema_types(schema) & upg_type_of(number)))
        return false;
    if (min && (value < json_number_value(min) ||
                (json_is_true(above) && value == json_number_value(min))))
        return false;
    if (max && (value > json_number_value(max) ||
                (json_is_true(below) && value == json_number_value(max))))
        return false;
    if ((json_is_number(above) && value <= json_number_value(above)) ||
        (json_is_number(below) && value >= json_number_value(below)))
        return false;
    return !step || fabs(quotient - nearbyint(quotient)) <= 1e-9;
}

upg_expr upg_number_text(struct upg_schema_context *ctx, const json_t *number, bool all_spellings)
{
    struct upg_exprs *x = ctx->x;
    const struct decimal d = decimal_of(number);
    upg_expr sign = d.is_negative && !is_zero(&d) ? upg_expr_text(x, "-", 1) : UPG_EXPR_EPSILON;
    upg_expr part = UPG_EXPR_EPSILON;
    char text[32];

    if (!all_spellings && json_is_real(number)) {
        shortest_text(json_real_value(number), text);
        if (strchr(text, 'e')) /* too long in plain digits */
            return upg_expr_text(x, text, strlen(text));
    }
    if (all_spellings) {
        if (is_zero(&d))
            sign = upg_expr_optional(x, upg_expr_text(x, "-", 1));
        part = part_equal(x, d.part);
    } else if (d.part[0]) {
        part =
            upg_expr_concat(x, upg_expr_text(x, ".", 1), upg_expr_text(x, d.part, strlen(d.part)));
    } else if (json_is_real(number)) {
        part = upg_expr_optional(x, upg_expr_text(x, ".0", 2));
    }
    return upg_expr_concat3(x, sign, upg_expr_text(x, d.whole, strlen(d.whole)), part);
}
