/* SPDX-License-Identifier: Apache-2.0 */
/* Dates as text, in the proleptic Gregorian calendar; no time zone database, no locale. */
#include "longline/date.h"

#include <stdbool.h>
#include <string.h>

#include "longline/check.h"

#define MS_PER_DAY 86400000
#define S_PER_DAY  86400
#define NS_PER_S   1000000000
#define NS_PER_MS  1000000

/* The years 0000 to 9999: what four digits can say. */
#define MIN_MS     (-62167219200000)
#define MAX_MS     253402300799999

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char long_day_names[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct civil {
    int64_t year;
    int month; /* 1-12 */
    int day;
    int hour, minute, second;
};

/*
 * Days since 1970-01-01 and back. Years begin in March here, so that the leap day comes last, and
 * are counted in eras of 400 years, which all have 146097 days.
 */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t month_from_march = (month + 9) % 12;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, struct civil *c)
{
    const int64_t z = days + 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t day_of_era = z - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;

    c->day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    c->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    c->year = year_of_era + era * 400 + (c->month <= 2 ? 1 : 0);
}

/* Returns the milliseconds within the second; *weekday gets 0 for Sunday. */
static int civil_from_ms(int64_t wall_ms, struct civil *c, int *weekday)
{
    const int64_t ms = wall_ms < MIN_MS ? MIN_MS : wall_ms > MAX_MS ? MAX_MS : wall_ms;
    int64_t days = ms / MS_PER_DAY;
    int64_t rest = ms % MS_PER_DAY;
    if (rest < 0) {
        days--;
        rest += MS_PER_DAY;
    }
    civil_from_days(days, c);
    c->hour = (int)(rest / 3600000);
    c->minute = (int)(rest / 60000 % 60);
    c->second = (int)(rest / 1000 % 60);
    *weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    return (int)(rest % 1000);
}

static char *put_digits(char *p, int64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + width;
}

static char *put_clock(char *p, const struct civil *c)
{
    p = put_digits(p, c->hour, 2);
    *p++ = ':';
    p = put_digits(p, c->minute, 2);
    *p++ = ':';
    return put_digits(p, c->second, 2);
}

static size_t put_rfc3339(char *out, int64_t wall_ms, bool with_ms)
{
    struct civil c;
    int weekday;
    int ms = civil_from_ms(wall_ms, &c, &weekday);
    char *p = put_digits(out, c.year, 4);

    *p++ = '-';
    p = put_digits(p, c.month, 2);
    *p++ = '-';
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_clock(p, &c);
    if (with_ms && ms != 0) {
        int width = 3;
        for (; ms % 10 == 0; ms /= 10) {
            width--;
        }
        *p++ = '.';
        p = put_digits(p, ms, width);
    }
    *p++ = 'Z';
    *p = '\0';
    return (size_t)(p - out);
}

size_t date_rfc3339_ms(char out[DATE_MAX], int64_t wall_ms)
{
    return put_rfc3339(out, wall_ms, true);
}

size_t date_rfc3339_s(char out[DATE_MAX], int64_t wall_ms)
{
    return put_rfc3339(out, wall_ms, false);
}

static char *put_name(char *p, const char name[4])
{
    memcpy(p, name, 3);
    return p + 3;
}

size_t date_http(char out[DATE_MAX], int64_t wall_ms)
{
    struct civil c;
    int weekday;
    char *p = out;

    (void)civil_from_ms(wall_ms, &c, &weekday);
    p = put_name(p, day_names[weekday]);
    *p++ = ',';
    *p++ = ' ';
    p = put_digits(p, c.day, 2);
    *p++ = ' ';
    p = put_name(p, month_names[c.month - 1]);
    *p++ = ' ';
    p = put_digits(p, c.year, 4);
    *p++ = ' ';
    p = put_clock(p, &c);
    memcpy(p, " GMT", 5);
    return (size_t)(p + 4 - out);
}

/* The parsers below cut what they recognise off the front of *s. */

static bool take_c(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

static bool take_digits(struct str *s, size_t width, int *out)
{
    int v = 0;
    if (s->n < width) {
        return false;
    }
    for (size_t i = 0; i < width; i++) {
        if (!char_is_digit(s->p[i])) {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += width;
    s->n -= width;
    *out = v;
    return true;
}

static bool take_word(struct str *s, struct str word)
{
    if (!str_starts(*s, word)) {
        return false;
    }
    s->p += word.n;
    s->n -= word.n;
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_possible(const struct civil *c)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c->month < 1 || c->month > 12 || c->day < 1) {
        return false;
    }
    if (c->day > lengths[c->month - 1] + (c->month == 2 && is_leap(c->year) ? 1 : 0)) {
        return false;
    }
    /* A leap second counts as the first second of the next minute. */
    return c->hour <= 23 && c->minute <= 59 && c->second <= 60;
}

static int64_t seconds_of(const struct civil *c)
{
    const int in_day = c->hour * 3600 + c->minute * 60 + c->second;
    return days_from_civil(c->year, c->month, c->day) * S_PER_DAY + in_day;
}

static bool take_clock(struct str *s, struct civil *c)
{
    return take_digits(s, 2, &c->hour) && take_c(s, ':') && take_digits(s, 2, &c->minute) &&
           take_c(s, ':') && take_digits(s, 2, &c->second);
}

static bool take_day(struct str *s, struct civil *c)
{
    int year;
    if (!take_digits(s, 4, &year) || !take_c(s, '-') || !take_digits(s, 2, &c->month) ||
        !take_c(s, '-') || !take_digits(s, 2, &c->day)) {
        return false;
    }
    c->year = year;
    return true;
}

/* ".123…": at least one digit; what is finer than a nanosecond is dropped. */
static bool take_fraction(struct str *s, int64_t *ns)
{
    int64_t unit = NS_PER_S;
    int digit;

    *ns = 0;
    if (!take_c(s, '.')) {
        return true;
    }
    if (!take_digits(s, 1, &digit)) {
        return false;
    }
    do {
        unit /= 10;
        *ns += digit * unit;
    } while (take_digits(s, 1, &digit));
    return true;
}

static bool take_offset(struct str *s, int64_t *seconds)
{
    int hours;
    int minutes;
    bool west;

    *seconds = 0;
    if (take_c(s, 'Z')) {
        return true;
    }
    west = take_c(s, '-');
    if (!west && !take_c(s, '+')) {
        return false;
    }
    if (!take_digits(s, 2, &hours) || !take_c(s, ':') || !take_digits(s, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *seconds = ((int64_t)hours * 60 + minutes) * 60;
    if (west) {
        *seconds = -*seconds;
    }
    return true;
}

static int parse_rfc3339(struct str s, int64_t *wall_ms, bool *is_whole)
{
    struct civil c;
    int64_t ns;
    int64_t offset;

    if (!take_day(&s, &c) || !take_c(&s, 'T') || !take_clock(&s, &c) || c.second > 59 ||
        !take_fraction(&s, &ns) || !take_offset(&s, &offset) || s.n != 0 || !is_possible(&c)) {
        return ERR_SYNTAX;
    }
    *wall_ms = (seconds_of(&c) - offset) * 1000 + ns / NS_PER_MS;
    *is_whole = ns % NS_PER_MS == 0;
    return 0;
}

int date_parse_rfc3339(struct str s, int64_t *wall_ms)
{
    bool is_whole;
    const int rc = parse_rfc3339(s, wall_ms, &is_whole);
    return rc == 0 && (*wall_ms < MIN_MS || *wall_ms > MAX_MS) ? ERR_RANGE : rc;
}

int date_parse_filter(struct str s, int64_t *wall_ms, bool *is_whole)
{
    struct civil c = {0};
    struct str day = s;

    if (!take_day(&day, &c) || day.n != 0) {
        return parse_rfc3339(s, wall_ms, is_whole);
    }
    if (!is_possible(&c)) {
        return ERR_SYNTAX;
    }
    *wall_ms = seconds_of(&c) * 1000;
    *is_whole = true;
    return 0;
}

static bool take_month(struct str *s, int *month)
{
    for (int i = 0; i < 12; i++) {
        if (take_word(s, str_of(month_names[i], 3))) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", s starting after the comma */
static bool take_imf_fixdate(struct str *s, struct civil *c)
{
    int year;
    if (!take_c(s, ' ') || !take_digits(s, 2, &c->day) || !take_c(s, ' ') ||
        !take_month(s, &c->month) || !take_c(s, ' ') || !take_digits(s, 4, &year) ||
        !take_c(s, ' ') || !take_clock(s, c)) {
        return false;
    }
    c->year = year;
    return take_word(s, STR(" GMT"));
}

/* "Sunday, 06-Nov-94 08:49:37 GMT", s starting after the comma. Two-digit years as POSIX reads
 * them: 69-99 are 19xx. */
static bool take_rfc850(struct str *s, struct civil *c)
{
    int year;
    if (!take_c(s, ' ') || !take_digits(s, 2, &c->day) || !take_c(s, '-') ||
        !take_month(s, &c->month) || !take_c(s, '-') || !take_digits(s, 2, &year) ||
        !take_c(s, ' ') || !take_clock(s, c)) {
        return false;
    }
    c->year = year + (year < 69 ? 2000 : 1900);
    return take_word(s, STR(" GMT"));
}

/* "Sun Nov  6 08:49:37 1994", s starting after the day name */
static bool take_asctime(struct str *s, struct civil *c)
{
    int year;
    if (!take_c(s, ' ') || !take_month(s, &c->month) || !take_c(s, ' ')) {
        return false;
    }
    if (!take_digits(s, 2, &c->day) && !(take_c(s, ' ') && take_digits(s, 1, &c->day))) {
        return false;
    }
    if (!take_c(s, ' ') || !take_clock(s, c) || !take_c(s, ' ') || !take_digits(s, 4, &year)) {
        return false;
    }
    c->year = year;
    return true;
}

int date_parse_http(struct str s, int64_t *wall_ms)
{
    struct civil c = {0};
    bool ok = false;

    for (size_t i = 0; i < LL_COUNT(day_names); i++) {
        struct str rest = s;
        if (take_word(&rest, str_c(long_day_names[i])) && take_c(&rest, ',')) {
            ok = take_rfc850(&rest, &c) && rest.n == 0;
            break;
        }
        rest = s;
        if (take_word(&rest, str_c(day_names[i]))) {
            ok = (take_c(&rest, ',') ? take_imf_fixdate(&rest, &c) : take_asctime(&rest, &c)) &&
                 rest.n == 0;
            break;
        }
    }
    if (!ok || !is_possible(&c)) {
        return ERR_SYNTAX;
    }
    *wall_ms = seconds_of(&c) * 1000;
    return 0;
}
