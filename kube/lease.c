/* SPDX-License-Identifier: Apache-2.0 */
/* At most one request is under way. A tick asks for the object (stand by) or writes it (lead); its
 * answer sets the timer for the next tick. */
#include "kube/lease.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/parse.h"
#include "kube/lease_record.h"
#include "net/loop.h"

#define BODY_MAX ((size_t)8 << 10)

struct sw_lease {
    struct sw_kube_client *client;
    struct sw_lease_options o;
    char *ns, *name, *identity;
    struct sw_lease_record record;
    struct sw_kube_call *call;
    int64_t sent_ns;    /* when the request under way was started */
    int64_t renewed_ns; /* sending of the last write that succeeded */
    bool is_held;
    bool is_releasing;
    void (*on_released)(void *ctx);
    void *released_ctx;
    struct sw_loop_timer tick, give_up;
    struct sw_loop_call released;
};

static const struct sw_kube_resource leases = {
    .group = "coordination.k8s.io", .version = "v1", .plural = "leases", .kind = "Lease"
};

static int64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * SW_NS_PER_SEC + t.tv_nsec;
}

int sw_lease_identity(char **ret, struct sw_err *err)
{
    char host[SW_LEASE_TEXT / 2] = "";
    uint8_t random[8];
    char digits[2 * sizeof(random) + 1];

    if (gethostname(host, sizeof(host) - 1) < 0)
        host[0] = '\0';
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return sw_err_set(err, SW_ERR_INTERNAL, "no random bytes for the Lease's identity");
    sw_hex_encode(random, sizeof(random), digits);
    if (asprintf(ret, "%s_%s", host, digits) < 0) {
        *ret = NULL;
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    return 0;
}

bool sw_lease_is_held(const struct sw_lease *lease)
{
    return lease->is_held;
}

uint64_t sw_lease_transitions(const struct sw_lease *lease)
{
    return lease->record.transitions;
}

/* --- Leading or not -------------------------------------------------------------------------- */

static struct sw_loop *loop_of(const struct sw_lease *l)
{
    return sw_kube_client_loop(l->client);
}

static void tick_after(struct sw_lease *l, int64_t delay_ns)
{
    sw_loop_timer_set(loop_of(l), &l->tick, sw_now_ns() + delay_ns);
}

/* The last thing that a callback does: on_change may close the lease. */
static void set_held(struct sw_lease *l, bool is_held)
{
    bool was_held = l->is_held;

    l->is_held = is_held;
    if (is_held)
        sw_loop_timer_set(loop_of(l), &l->give_up, l->renewed_ns + l->o.give_up_ns);
    else
        sw_loop_timer_stop(loop_of(l), &l->give_up);
    if (was_held != is_held)
        l->o.on_change(l->o.ctx, is_held);
}

static void on_give_up(void *ctx)
{
    set_held(ctx, false);
}

static void report(struct sw_lease *l, const struct sw_err *err)
{
    if (l->o.on_failure)
        l->o.on_failure(l->o.ctx, err);
}

/* --- Requests -------------------------------------------------------------------------------- */

static void start(struct sw_lease *l, struct sw_kube_request *r)
{
    struct sw_err err = { 0 };

    r->where.resource = &leases;
    r->where.ns = l->ns;
    r->deadline_ns = l->o.give_up_ns / 2;
    r->ctx = l;
    l->sent_ns = sw_now_ns();
    if (sw_kube_call_start(l->client, r, &l->call, &err) < 0) {
        l->call = NULL;
        report(l, &err);
        tick_after(l, l->o.retry_ns);
    }
}

static void on_written(void *ctx, const struct sw_kube_answer *answer)
{
    struct sw_lease *l = ctx;

    l->call = NULL;
    if (!answer->err && answer->object) {
        (void)sw_lease_look(&l->record, answer->object, l->identity, 0, sw_now_ns());
        l->renewed_ns = l->sent_ns;
        tick_after(l, l->o.renew_ns);
        set_held(l, true);
        return;
    }
    if (answer->err)
        report(l, answer->err);
    /* Somebody else wrote it: it is not known whose it is until the next look. A write that got no answer
     * leaves the resourceVersion unknown as well. */
    l->record.resource_version[0] = '\0';
    tick_after(l, answer->status == 409 ? 0 : l->o.retry_ns);
}

static void write_record(struct sw_lease *l, const char *holder,
                         void (*on_done)(void *ctx, const struct sw_kube_answer *answer))
{
    sw_autobuf struct sw_buf body = SW_BUF_INIT(BODY_MAX);
    bool is_new = !l->record.is_seen;

    sw_lease_write(
        &body, &l->record,
        &(struct sw_lease_claim){ .ns = l->ns,
                                  .name = l->name,
                                  .holder = holder,
                                  .duration_s = (uint64_t)(l->o.duration_ns / SW_NS_PER_SEC),
                                  .wall_ns = wall_ns() });
    start(l, &(struct sw_kube_request){
                 .verb = is_new ? SW_KUBE_CREATE : SW_KUBE_REPLACE,
                 .where.name = is_new ? NULL : l->name,
                 .body = body.p,
                 .body_n = body.n,
                 .resource_version = is_new ? NULL : l->record.resource_version,
                 .on_done = on_done,
             });
}

static void on_read(void *ctx, const struct sw_kube_answer *answer)
{
    struct sw_lease *l = ctx;

    l->call = NULL;
    if (answer->err && answer->status != 404) {
        report(l, answer->err);
        tick_after(l, l->o.retry_ns);
        return;
    }
    enum sw_lease_step step = sw_lease_look(&l->record, answer->object, l->identity,
                                            (uint64_t)(l->o.duration_ns / SW_NS_PER_SEC),
                                            sw_now_ns());
    if (step != SW_LEASE_WAIT) {
        write_record(l, l->identity, on_written);
        return;
    }
    tick_after(l, l->o.retry_ns);
    set_held(l, false);
}

static void on_tick(void *ctx)
{
    struct sw_lease *l = ctx;

    if (l->call || l->is_releasing)
        return;
    if (l->is_held && *l->record.resource_version)
        write_record(l, l->identity, on_written);
    else
        start(l, &(struct sw_kube_request){
                     .verb = SW_KUBE_GET, .where.name = l->name, .on_done = on_read });
}

/* --- Life ------------------------------------------------------------------------------------ */

static void on_released_post(void *ctx)
{
    struct sw_lease *l = ctx;

    l->on_released(l->released_ctx);
}

static void on_given_back(void *ctx, const struct sw_kube_answer *answer)
{
    struct sw_lease *l = ctx;

    l->call = NULL;
    if (answer->err)
        report(l, answer->err); /* it runs out by itself */
    on_released_post(l);
}

void sw_lease_release(struct sw_lease *l, void (*on_done)(void *ctx), void *ctx)
{
    bool was_held = l->is_held;

    sw_kube_call_cancel(sw_steal(l->call));
    sw_loop_timer_stop(loop_of(l), &l->tick);
    sw_loop_timer_stop(loop_of(l), &l->give_up);
    l->is_held = false;
    l->is_releasing = true;
    l->on_released = on_done;
    l->released_ctx = ctx;
    if (was_held && *l->record.resource_version)
        write_record(l, "", on_given_back);
    if (!l->call)
        sw_loop_post(loop_of(l), &l->released);
}

static int fill(struct sw_lease *l, const struct sw_lease_options *o, struct sw_err *err)
{
    l->o = *o;
    l->o.duration_ns = o->duration_ns ? o->duration_ns : 15 * SW_NS_PER_SEC;
    l->o.renew_ns = o->renew_ns ? o->renew_ns : 5 * SW_NS_PER_SEC;
    l->o.retry_ns = o->retry_ns ? o->retry_ns : 2 * SW_NS_PER_SEC;
    l->o.give_up_ns = o->give_up_ns ? o->give_up_ns : 10 * SW_NS_PER_SEC;
    assert(l->o.renew_ns < l->o.give_up_ns && l->o.retry_ns < l->o.give_up_ns &&
           l->o.give_up_ns < l->o.duration_ns);
    l->ns = strdup(o->ns);
    l->name = strdup(o->name);
    l->identity = strdup(o->identity);
    if (!l->ns || !l->name || !l->identity)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a Lease");
    return 0;
}

int sw_lease_open(struct sw_kube_client *client, const struct sw_lease_options *options,
                  struct sw_lease **ret, struct sw_err *err)
{
    struct sw_lease *l = calloc(1, sizeof(*l));

    if (!l)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a Lease");
    l->client = client;
    l->tick = (struct sw_loop_timer){ .fn = on_tick, .ctx = l };
    l->give_up = (struct sw_loop_timer){ .fn = on_give_up, .ctx = l };
    l->released = (struct sw_loop_call){ .fn = on_released_post, .ctx = l };
    if (fill(l, options, err) < 0) {
        sw_lease_close(l);
        return -1;
    }
    tick_after(l, 0);
    *ret = l;
    return 0;
}

void sw_lease_close(struct sw_lease *l)
{
    if (!l)
        return;
    sw_kube_call_cancel(l->call);
    sw_loop_timer_stop(loop_of(l), &l->tick);
    sw_loop_timer_stop(loop_of(l), &l->give_up);
    sw_loop_unpost(loop_of(l), &l->released);
    free(l->ns);
    free(l->name);
    free(l->identity);
    free(l);
}
