/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/human.h"

#include "common/clock.h"

void cli_put_bytes(struct sw_buf *out, uint64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1000) {
        sw_buf_printf(out, "%u B", (unsigned)bytes);
        return;
    }
    for (; v >= 999.5 && unit + 1 < SW_COUNT(units); unit++)
        v /= 1024;
    sw_buf_printf(out, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[unit]);
}

void cli_put_rate(struct sw_buf *out, uint64_t bytes_per_second)
{
    cli_put_bytes(out, bytes_per_second);
    sw_buf_puts(out, "/s");
}

void cli_put_duration(struct sw_buf *out, int64_t ns)
{
    int64_t s = (ns > 0 ? ns : 0) / SW_NS_PER_SEC;

    if (s < 10)
        sw_buf_printf(out, "%.2f s", ns > 0 ? (double)ns / 1e9 : 0.0);
    else if (s < 60)
        sw_buf_printf(out, "%.1f s", (double)ns / 1e9);
    else if (s < 3600)
        sw_buf_printf(out, "%lld min %02lld s", (long long)(s / 60), (long long)(s % 60));
    else
        sw_buf_printf(out, "%lld h %02lld min", (long long)(s / 3600), (long long)(s % 3600 / 60));
}

void cli_put_age(struct sw_buf *out, int64_t seconds)
{
    long long s = seconds > 0 ? (long long)seconds : 0;

    if (s < 120)
        sw_buf_printf(out, "%llds", s);
    else if (s < 3 * 3600)
        sw_buf_printf(out, "%lldm", s / 60);
    else if (s < 48 * 3600)
        sw_buf_printf(out, "%lldh", s / 3600);
    else
        sw_buf_printf(out, "%lldd", s / (24 * 3600));
}

uint64_t cli_rate(uint64_t bytes, int64_t ns)
{
    return ns > 0 ? (uint64_t)((double)bytes * 1e9 / (double)ns) : 0;
}
