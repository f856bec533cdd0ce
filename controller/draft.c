/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/draft.h"

#include "controller/object.h"

/* core/v1 Event: the API server refuses a longer message. */
#define EVENT_MESSAGE_MAX 1024

void sw_draft_init(struct sw_draft *p, const struct sw_view *view, struct sw_err *err)
{
    *p = (struct sw_draft){ .view = view, .err = err };
    p->actions = sw_json_new_array(&p->m);
}

int sw_draft_finish(struct sw_draft *p, struct sw_json **ret_actions)
{
    if (p->view_failed || sw_json_maker_check(&p->m, "a plan", p->err) < 0) {
        sw_json_free(p->actions);
        return -1;
    }
    *ret_actions = p->actions;
    return 0;
}

const struct sw_json *sw_draft_get(struct sw_draft *p, enum sw_kind kind, const char *namespace,
                                   const char *name)
{
    const struct sw_json *obj = NULL;

    if (p->view_failed || !name)
        return NULL;
    if (p->view->ops->get(p->view, kind, namespace, name, &obj, p->err) < 0) {
        p->view_failed = true;
        return NULL;
    }
    return obj;
}

const struct sw_json *sw_draft_list(struct sw_draft *p, enum sw_kind kind, enum sw_index index,
                                    const char *value)
{
    const struct sw_json *list = NULL;

    if (p->view_failed || !value)
        return NULL;
    if (p->view->ops->list(p->view, kind, index, value, &list, p->err) < 0) {
        p->view_failed = true;
        return NULL;
    }
    return list;
}

const struct sw_json *sw_draft_failure(const struct sw_draft *p, const char *id)
{
    const struct sw_json *e = p->view->last_error;

    return sw_text_equal(sw_json_text(e, "id"), id) ? e : NULL;
}

struct sw_json *sw_act(struct sw_draft *p, const char *what)
{
    struct sw_json *action = NULL;

    if (!p->view_failed)
        action = sw_json_enter_object(&p->m, p->actions, NULL);
    sw_json_set_str(&p->m, action, "do", what);
    return action;
}

static void put_target(struct sw_draft *p, struct sw_json *action, enum sw_kind kind,
                       const struct sw_json *about)
{
    sw_json_set_str(&p->m, action, "kind", sw_kind_info(kind)->name);
    if (sw_kind_info(kind)->is_namespaced)
        sw_json_set_copy(&p->m, action, "namespace", sw_json_find(about, "metadata.namespace"));
    sw_json_set_copy(&p->m, action, "name", sw_json_find(about, "metadata.name"));
}

static struct sw_json *act_about(struct sw_draft *p, const char *what, enum sw_kind kind,
                                 const struct sw_json *about)
{
    struct sw_json *action = sw_act(p, what);

    put_target(p, action, kind, about);
    sw_json_set_copy(&p->m, action, "uid", sw_json_find(about, "metadata.uid"));
    return action;
}

void sw_act_create(struct sw_draft *p, const char *id, enum sw_kind kind, struct sw_json *object)
{
    struct sw_json *action = sw_act(p, "create");

    if (id)
        sw_json_set_str(&p->m, action, "id", id);
    put_target(p, action, kind, object);
    sw_json_set(&p->m, action, "object", object);
}

void sw_act_apply(struct sw_draft *p, enum sw_kind kind, struct sw_json *object)
{
    struct sw_json *action = sw_act(p, "apply");

    put_target(p, action, kind, object);
    sw_json_set(&p->m, action, "object", object);
}

void sw_act_patch(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                  struct sw_json *patch)
{
    sw_json_set(&p->m, act_about(p, "patch", kind, about), "patch", patch);
}

void sw_act_patch_exactly(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                          struct sw_json *patch)
{
    struct sw_json *action = act_about(p, "patch", kind, about);

    sw_json_set_copy(&p->m, action, "resourceVersion",
                     sw_json_find(about, "metadata.resourceVersion"));
    sw_json_set(&p->m, action, "patch", patch);
}

void sw_act_patch_status(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                         struct sw_json *status)
{
    struct sw_json *action = act_about(p, "patchStatus", kind, about);

    sw_json_set(&p->m, sw_json_enter_object(&p->m, action, "patch"), "status", status);
}

void sw_act_delete(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about)
{
    act_about(p, "delete", kind, about);
}

/* The longest beginning of text that is at most max bytes and does not cut a character. */
static void put_cut(struct sw_draft *p, struct sw_json *to, const char *key, const char *text)
{
    sw_autobuf struct sw_buf cut = SW_BUF_INIT(EVENT_MESSAGE_MAX);
    size_t n = 0;

    while (n < EVENT_MESSAGE_MAX && text[n])
        n++;
    while (text[n] && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    sw_buf_append(&cut, text, n);
    if (cut.failed)
        p->m.failed = true;
    sw_json_set_str(&p->m, to, key, sw_buf_str(&cut));
}

static void act_event(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                      const char *const type_reason[2], const char *message)
{
    struct sw_json *action = act_about(p, "event", kind, about);

    sw_json_set_str(&p->m, action, "type", type_reason[0]);
    sw_json_set_str(&p->m, action, "reason", type_reason[1]);
    put_cut(p, action, "message", message);
}

void sw_act_warn(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                 const char *reason, const char *message)
{
    act_event(p, kind, about, (const char *const[]){ "Warning", reason }, message);
}

void sw_act_note(struct sw_draft *p, enum sw_kind kind, const struct sw_json *about,
                 const char *reason, const char *message)
{
    act_event(p, kind, about, (const char *const[]){ "Normal", reason }, message);
}

void sw_act_retry(struct sw_draft *p)
{
    sw_act(p, "retry");
}
