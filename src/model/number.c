/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "model_internal.h"

#define MAX_DIGITS 17 /* always enough for a double */

/* A decimal number 0.d1d2d3… * 10^point, without trailing zeros. */
struct decimal {
    char digits[MAX_DIGITS];
    int n;
    int point;
    bool negative;
};

static bool reads_back(const char *text, double v)
{
    const double again = strtod(text, NULL);
    return !(again < v) && !(again > v);
}

static void shortest(struct decimal *d, double v)
{
    char text[NUMBER_MAX] = "";
    for (int precision = 0; precision < MAX_DIGITS; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, v);
        if (reads_back(text, v)) {
            break;
        }
    }
    const char *p = text;
    d->negative = *p == '-';
    if (d->negative) {
        p++;
    }
    d->n = 0;
    for (; *p != 'e' && *p != '\0'; p++) {
        if (*p != '.' && d->n < MAX_DIGITS) {
            d->digits[d->n++] = *p;
        }
    }
    /* "e-07" or "e+308": a sign and two or three digits. */
    int exponent = 0;
    for (const char *e = p + 2; *p == 'e' && *e != '\0'; e++) {
        exponent = exponent * 10 + (*e - '0');
    }
    d->point = (*p == 'e' && p[1] == '-' ? -exponent : exponent) + 1;
    while (d->n > 1 && d->digits[d->n - 1] == '0') {
        d->n--;
    }
}

static char digit(const struct decimal *d, int i)
{
    if (i < 0 || i >= d->n) {
        return '0';
    }
    return d->digits[i];
}

static size_t put_exponent(char *out, int exponent)
{
    const int size =
        snprintf(out, 8, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
    return size > 0 ? (size_t)size : 0;
}

size_t number_text(char out[NUMBER_MAX], double v)
{
    struct decimal d;
    shortest(&d, v);
    size_t n = 0;
    if (d.negative) {
        out[n++] = '-';
    }
    const int exponent = d.point - 1;
    const bool scientific = exponent < -4 || exponent >= 6;
    const int n_whole = scientific ? 1 : d.point; /* digits before the point, may be <= 0 */
    if (n_whole <= 0) {
        out[n++] = '0';
    }
    for (int i = 0; i < n_whole; i++) {
        out[n++] = digit(&d, i);
    }
    if (d.n > n_whole) {
        out[n++] = '.';
    }
    for (int i = n_whole; i < d.n; i++) {
        out[n++] = digit(&d, i);
    }
    if (scientific) {
        n += put_exponent(out + n, exponent);
    }
    out[n] = '\0';
    return n;
}
