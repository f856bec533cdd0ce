/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/metrics.h"

#define NAME "kubevirt_cdi_import_progress_total"
#define NEARLY 99.99

static double percent_now(const struct sw_progress *p)
{
    uint64_t total = p->source_total;
    uint64_t done = p->source_done;

    if (p->phase == SW_PHASE_DONE)
        return 100;
    if (!total || total == SW_SIZE_UNKNOWN)
        return 0;
    double v = 100.0 * (double)done / (double)total;
    return v > NEARLY ? NEARLY : v;
}

/* A label value as the exposition format wants it. */
static void put_label_value(struct sw_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            sw_buf_puts(out, "\\n");
        else
            sw_buf_printf(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    }
}

void sw_metrics_page(struct sw_metrics *m, struct sw_buf *out)
{
    double now = percent_now(m->progress);

    if (now > m->shown)
        m->shown = now;
    sw_buf_puts(out, "# HELP " NAME " The import progress in percentage\n"
                     "# TYPE " NAME " counter\n" NAME "{ownerUID=\"");
    put_label_value(out, m->owner_uid);
    sw_buf_printf(out, "\"} %.*f\n", m->shown >= 100 || m->shown <= 0 ? 0 : 2, m->shown);
}

static void on_get(void *ctx, const char *path SW_UNUSED, struct sw_http_reply *reply)
{
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    sw_metrics_page(ctx, &reply->body);
}

int sw_metrics_start(struct sw_metrics *m, uint16_t port, struct sw_err *err)
{
    struct sw_http_server_options o = {
        .port = port,
        .host_name = "cloner_target",
        .handler = on_get,
        .ctx = m,
    };

    return sw_http_server_start(&o, &m->server, err);
}

void sw_metrics_stop(struct sw_metrics *m)
{
    sw_http_server_stop(m->server);
    m->server = NULL;
}
