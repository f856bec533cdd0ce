/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease_record.h"

#include <string.h>
#include <time.h>

#include "common/clock.h"

static void copy_text(const struct sw_json *lease, const char *path, char *ret, size_t room)
{
    sw_autofree char *text = NULL;
    struct sw_err ignored;

    /* What is no text, or absurdly long, counts as not given. */
    ret[0] = '\0';
    if (sw_json_get_str(lease, path, 4096, &text, &ignored) == 1)
        (void)snprintf(ret, room, "%s", text);
}

static void parse(const struct sw_json *lease, struct sw_lease_record *ret)
{
    struct sw_err ignored;

    copy_text(lease, "spec.holderIdentity", ret->holder, sizeof(ret->holder));
    copy_text(lease, "spec.renewTime", ret->renewed, sizeof(ret->renewed));
    copy_text(lease, "spec.acquireTime", ret->acquired, sizeof(ret->acquired));
    copy_text(lease, "metadata.resourceVersion", ret->resource_version,
              sizeof(ret->resource_version));
    if (sw_json_get_u64(lease, "spec.leaseDurationSeconds", &ret->duration_s, &ignored) != 1)
        ret->duration_s = 0;
    if (sw_json_get_u64(lease, "spec.leaseTransitions", &ret->transitions, &ignored) != 1)
        ret->transitions = 0;
    ret->is_seen = true;
}

enum sw_lease_step sw_lease_look(struct sw_lease_record *r, const struct sw_json *lease,
                                 const char *identity, uint64_t default_s, int64_t now_ns)
{
    struct sw_lease_record now = { .changed_ns = now_ns };

    if (!lease) {
        *r = now;
        return SW_LEASE_CREATE;
    }
    parse(lease, &now);
    if (r->is_seen && strcmp(r->holder, now.holder) == 0 && strcmp(r->renewed, now.renewed) == 0 &&
        r->transitions == now.transitions)
        now.changed_ns = r->changed_ns;
    *r = now;
    if (!*r->holder)
        return SW_LEASE_TAKE;
    if (strcmp(r->holder, identity) == 0)
        return SW_LEASE_RENEW;

    /* A year is longer than anybody means, and far from an overflow. */
    uint64_t wait_s = r->duration_s ? r->duration_s : default_s;
    if (wait_s > 365 * 86400)
        wait_s = 365 * 86400;
    return now_ns - r->changed_ns >= (int64_t)wait_s * SW_NS_PER_SEC ? SW_LEASE_TAKE
                                                                     : SW_LEASE_WAIT;
}

/* MicroTime: RFC 3339 with six digits. */
static void put_time(struct sw_json_writer *w, const char *key, int64_t wall_ns)
{
    time_t s = (time_t)(wall_ns / SW_NS_PER_SEC);
    struct tm tm;
    char date[sizeof("2026-01-31T11:44:13")] = "";
    char text[sizeof(date) + sizeof(".123456Z")];

    gmtime_r(&s, &tm);
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text, sizeof(text), "%s.%06uZ", date,
                   (unsigned)(wall_ns % SW_NS_PER_SEC / 1000) % 1000000);
    sw_json_put_str(w, key, text);
}

void sw_lease_write(struct sw_buf *out, const struct sw_lease_record *r,
                    const struct sw_lease_claim *claim)
{
    bool is_renewal = strcmp(r->holder, claim->holder) == 0;
    bool is_release = !*claim->holder;
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "apiVersion", "coordination.k8s.io/v1");
    sw_json_put_str(&w, "kind", "Lease");
    sw_json_begin_object(&w, "metadata");
    sw_json_put_str(&w, "namespace", claim->ns);
    sw_json_put_str(&w, "name", claim->name);
    sw_json_end(&w);
    sw_json_begin_object(&w, "spec");
    sw_json_put_str(&w, "holderIdentity", claim->holder);
    /* Whoever comes after a release need not wait: one second is the least that is allowed. */
    sw_json_put_u64(&w, "leaseDurationSeconds", is_release ? 1 : claim->duration_s);
    sw_json_put_u64(&w, "leaseTransitions",
                    r->transitions + (r->is_seen && !is_renewal && !is_release));
    if (is_renewal && *r->acquired)
        sw_json_put_str(&w, "acquireTime", r->acquired);
    else
        put_time(&w, "acquireTime", claim->wall_ns);
    put_time(&w, "renewTime", claim->wall_ns);
    sw_json_end(&w);
    sw_json_end(&w);
}
