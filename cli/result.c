/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/result.h"

#include <string.h>

#include "cli/human.h"
#include "common/clock.h"
#include "common/fileio.h"
#include "common/yaml_put.h"

#define RESULT_MAX ((size_t)64 << 10)

static unsigned count_wraps(const struct sw_import_result *r)
{
    unsigned n = 0;

    while (n < SW_WRAPS_MAX && r->wraps[n] != SW_WRAP_NONE)
        n++;
    return n;
}

static const char *table_name(enum sw_partition_table table)
{
    static const char *const names[] = {
        [SW_PT_NONE] = "none",
        [SW_PT_MBR] = "mbr",
        [SW_PT_GPT] = "gpt",
    };

    return (unsigned)table < SW_COUNT(names) ? names[table] : "none";
}

static unsigned shown_partitions(const struct sw_bootinfo *b)
{
    return b->n_partitions < SW_BOOT_PARTITIONS_MAX ? b->n_partitions : SW_BOOT_PARTITIONS_MAX;
}

/* --- Text ------------------------------------------------------------------------------------ */

static void put_label(struct sw_buf *out, const char *label)
{
    sw_buf_printf(out, "  %-10s ", label);
}

static void put_format(const struct sw_import_result *r, struct sw_buf *out)
{
    put_label(out, "format");
    sw_buf_puts(out, sw_format_name(r->format));
    for (unsigned n = count_wraps(r); n > 0; n--)
        sw_buf_printf(out, " in %s", sw_wrap_name(r->wraps[n - 1]));
    if (r->detail[0])
        sw_buf_printf(out, " (%s)", r->detail);
    sw_buf_puts(out, "\n");
}

/* Of an archive; a disk has a format and a size. */
static void put_members(const struct sw_import_result *r, struct sw_buf *out)
{
    put_label(out, "format");
    sw_buf_puts(out, "tar");
    for (unsigned n = count_wraps(r); n > 0; n--)
        sw_buf_printf(out, " in %s", sw_wrap_name(r->wraps[n - 1]));
    sw_buf_puts(out, "\n");
    put_label(out, "members");
    sw_buf_printf(out, "%llu\n", (unsigned long long)r->members);
}

static void put_size(const struct sw_import_result *r, struct sw_buf *out)
{
    put_label(out, "size");
    if (!r->guest_size) { /* info of a raw disk in a wrapper */
        sw_buf_puts(out, "not known before all of it has been decoded\n");
        return;
    }
    cli_put_bytes(out, r->guest_size);
    if (r->guest_size != r->image_size && r->image_size) {
        sw_buf_puts(out, ", grown from ");
        cli_put_bytes(out, r->image_size);
    }
    if (r->data_bytes) {
        sw_buf_puts(out, ", of which data ");
        cli_put_bytes(out, r->data_bytes);
    }
    sw_buf_puts(out, "\n");
}

/* What moved, how long it took, and which stage set the pace. */
static void put_moved(const struct cli_subject *subject, const struct sw_import_result *r,
                      struct sw_buf *out)
{
    put_label(out, "moved");
    cli_put_bytes(out, r->fetched);
    sw_buf_puts(out, " read");
    if (subject->target) {
        sw_buf_puts(out, ", ");
        cli_put_bytes(out, r->written);
        sw_buf_puts(out, " written");
    }
    sw_buf_puts(out, " in ");
    cli_put_duration(out, r->elapsed_ns);
    sw_buf_puts(out, ", ");
    cli_put_rate(out, cli_rate(r->fetched, r->elapsed_ns));
    sw_buf_puts(out, "\n");
    if (r->resumed_from) {
        put_label(out, "resumed");
        sw_buf_puts(out, "after ");
        cli_put_bytes(out, r->resumed_from);
        sw_buf_puts(out, " of the source\n");
    }
}

static unsigned busy_percent(const struct sw_stage_time *s)
{
    int64_t all = s->busy_ns + s->starved_ns + s->blocked_ns;

    return all > 0 ? (unsigned)(100 * s->busy_ns / all) : 0;
}

static void put_stages(const struct sw_import_result *r, struct sw_buf *out)
{
    if (!r->n_stages)
        return;
    put_label(out, "busy");
    for (unsigned i = 0; i < r->n_stages; i++)
        sw_buf_printf(out, "%s%s %u%%", i ? ", " : "", r->stages[i].name,
                      busy_percent(&r->stages[i]));
    if (r->bottleneck)
        sw_buf_printf(out, "; %s set the pace", r->bottleneck);
    sw_buf_puts(out, "\n");
}

static void put_digests(const struct sw_import_result *r, struct sw_buf *out)
{
    for (unsigned i = 0; i < r->n_digests; i++) {
        char text[SW_DIGEST_TEXT_MAX];

        sw_digest_format(&r->digests[i], text);
        put_label(out, "digest");
        sw_buf_printf(out, "%s\n", text);
    }
}

static void put_signer(const struct sw_pgp_signer *signer, struct sw_buf *out)
{
    if (!signer)
        return;
    put_label(out, "signed by");
    sw_buf_printf(out, "%s, key %s\n", signer->user, signer->primary);
}

static void put_boot(const struct sw_bootinfo *b, struct sw_buf *out)
{
    if (!b->checked && !b->note[0])
        return;
    put_label(out, "boots");
    if (!b->checked)
        sw_buf_puts(out, b->note);
    else if (b->arch[0])
        sw_buf_printf(out, "%s, %s", b->archs[0] ? b->archs : b->arch, b->loader);
    else
        sw_buf_printf(out, "no EFI loader%s%s", b->note[0] ? ": " : "", b->note);
    if (b->bios_bootable)
        sw_buf_puts(out, "; BIOS boot code");
    sw_buf_puts(out, "\n");
}

static void put_partitions(const struct sw_bootinfo *b, struct sw_buf *out)
{
    if (!b->checked)
        return;
    put_label(out, "partitions");
    sw_buf_printf(out, "%s, %u\n", table_name(b->table), b->n_partitions);
    for (unsigned i = 0; i < shown_partitions(b); i++) {
        const struct sw_partition *p = &b->partitions[i];

        put_label(out, "");
        sw_buf_printf(out, "%2u  ", i + 1);
        cli_put_bytes(out, p->length);
        sw_buf_puts(out, " at ");
        cli_put_bytes(out, p->offset);
        sw_buf_printf(out, "  %s%s%s\n", p->type, p->name[0] ? ", " : "", p->name);
    }
}

void cli_result_text(const struct cli_subject *subject, const struct sw_import_result *r,
                     struct sw_buf *out)
{
    bool is_info = strcmp(subject->verb, "info") == 0;

    if (subject->target)
        sw_buf_printf(out, "%s: complete and verified\n", subject->target);
    else
        sw_buf_printf(out, "%s%s\n", subject->source, is_info ? "" : ": OK");
    if (r->is_archive) {
        put_members(r, out);
    } else {
        put_format(r, out);
        put_size(r, out);
    }
    if (!is_info)
        put_moved(subject, r, out);
    put_digests(r, out);
    put_signer(subject->signer, out);
    put_boot(&r->boot, out);
    if (is_info)
        put_partitions(&r->boot, out);
    else
        put_stages(r, out);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void json_digests(const struct sw_import_result *r, struct sw_json_writer *w)
{
    sw_json_begin_object(w, "digests");
    for (unsigned i = 0; i < r->n_digests; i++) {
        char text[SW_DIGEST_TEXT_MAX];

        sw_digest_format(&r->digests[i], text);
        sw_json_put_str(w, sw_digest_alg_name(r->digests[i].alg), strchr(text, ':') + 1);
    }
    sw_json_end(w);
}

static void json_partitions(const struct sw_bootinfo *b, struct sw_json_writer *w)
{
    sw_json_begin_array(w, "partitions");
    for (unsigned i = 0; i < shown_partitions(b); i++) {
        sw_json_begin_object(w, NULL);
        sw_json_put_u64(w, "offset", b->partitions[i].offset);
        sw_json_put_u64(w, "length", b->partitions[i].length);
        sw_json_put_str(w, "type", b->partitions[i].type);
        sw_json_put_str(w, "name", b->partitions[i].name);
        sw_json_end(w);
    }
    sw_json_end(w);
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static void json_boot(const struct sw_bootinfo *b, struct sw_json_writer *w)
{
    if (!b->checked) {
        sw_json_put_str(w, "boot", NULL);
        return;
    }
    sw_json_begin_object(w, "boot");
    sw_json_put_str(w, "architecture", or_null(b->arch));
    sw_json_put_str(w, "architectures", or_null(b->archs));
    sw_json_put_str(w, "loader", or_null(b->loader));
    sw_json_put_bool(w, "bios", b->bios_bootable);
    sw_json_put_str(w, "note", or_null(b->note));
    sw_json_put_str(w, "partition_table", table_name(b->table));
    sw_json_put_u64(w, "sector_size", b->sector_size);
    sw_json_put_bool(w, "efi_system_partition", b->has_esp);
    json_partitions(b, w);
    sw_json_end(w);
}

static uint64_t milliseconds(int64_t ns)
{
    return ns > 0 ? (uint64_t)(ns / SW_NS_PER_MS) : 0;
}

static void json_stages(const struct sw_import_result *r, struct sw_json_writer *w)
{
    sw_json_put_str(w, "bottleneck", r->bottleneck);
    sw_json_begin_array(w, "stages");
    for (unsigned i = 0; i < r->n_stages; i++) {
        const struct sw_stage_time *s = &r->stages[i];

        sw_json_begin_object(w, NULL);
        sw_json_put_str(w, "name", s->name);
        sw_json_put_u64(w, "threads", s->threads);
        sw_json_put_u64(w, "busy_ms", milliseconds(s->busy_ns));
        sw_json_put_u64(w, "starved_ms", milliseconds(s->starved_ns));
        sw_json_put_u64(w, "blocked_ms", milliseconds(s->blocked_ns));
        sw_json_end(w);
    }
    sw_json_end(w);
}

static void json_moved(const struct sw_import_result *r, struct sw_json_writer *w)
{
    sw_json_put_u64(w, "fetched", r->fetched);
    sw_json_put_u64(w, "written", r->written);
    sw_json_put_u64(w, "parked", r->parked);
    sw_json_put_u64(w, "resumed_from", r->resumed_from);
    sw_json_put_u64(w, "elapsed_ms", milliseconds(r->elapsed_ns));
    sw_json_put_u64(w, "bytes_per_second", cli_rate(r->fetched, r->elapsed_ns));
}

void cli_result_json(const struct cli_subject *subject, const struct sw_import_result *r,
                     struct sw_buf *out)
{
    struct sw_json_writer w;

    sw_json_writer_init(&w, out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "source", subject->source);
    if (subject->target)
        sw_json_put_str(&w, "target", subject->target);
    sw_json_put_str(&w, "format", r->is_archive ? "tar" : sw_format_name(r->format));
    sw_json_begin_array(&w, "wrappers");
    for (unsigned i = 0; i < count_wraps(r); i++)
        sw_json_put_str(&w, NULL, sw_wrap_name(r->wraps[i]));
    sw_json_end(&w);
    if (r->is_archive) {
        sw_json_put_u64(&w, "members", r->members);
    } else {
        sw_json_put_str(&w, "detail", or_null(r->detail));
        sw_json_put_u64(&w, "virtual_size", r->guest_size);
        sw_json_put_u64(&w, "image_size", r->image_size);
    }
    if (r->source_size != SW_SIZE_UNKNOWN)
        sw_json_put_u64(&w, "source_size", r->source_size);
    sw_json_put_u64(&w, "data_bytes", r->data_bytes);
    json_digests(r, &w);
    if (subject->signer) {
        sw_json_put_str(&w, "signer", subject->signer->user);
        sw_json_put_str(&w, "signing_key", subject->signer->fingerprint);
    }
    if (!r->is_archive)
        json_boot(&r->boot, &w);
    if (strcmp(subject->verb, "info") != 0) {
        json_moved(r, &w);
        json_stages(r, &w);
    }
    sw_json_end(&w);
    sw_buf_puts(out, "\n");
}

/* --- Printing -------------------------------------------------------------------------------- */

/* A document of its own, for a command may print several. */
static int json_to_yaml(const struct sw_buf *json, struct sw_buf *out, struct sw_err *err)
{
    sw_auto_json struct sw_json *doc = NULL;

    if (sw_json_parse(sw_buf_str(json), json->n, json->n, &doc, err) < 0)
        return -1;
    sw_buf_puts(out, "---\n");
    sw_yaml_put(out, doc);
    return sw_buf_check(out, "the result", err);
}

static int print_all(const struct cli_args *args, const struct sw_buf *text, struct sw_err *err)
{
    sw_autobuf struct sw_buf yaml = SW_BUF_INIT(4 * text->n +
                                                16); /* all of it may be indentation */

    if (sw_buf_check(text, "the result", err) < 0)
        return -1;
    if (args->output != CLI_OUTPUT_YAML)
        return sw_write_full(STDOUT_FILENO, sw_buf_str(text), text->n, err);
    if (json_to_yaml(text, &yaml, err) < 0)
        return -1;
    return sw_write_full(STDOUT_FILENO, sw_buf_str(&yaml), yaml.n, err);
}

int cli_print(const struct cli_args *args, const struct sw_buf *text)
{
    struct sw_err err = { 0 };

    if (print_all(args, text, &err) < 0) {
        sw_err_wrap(&err, "standard output");
        fprintf(stderr, "slipway: %s\n", err.msg);
        return sw_err_exit_code(err.kind);
    }
    return 0;
}

int cli_result_print(const struct cli_args *args, const struct cli_subject *subject,
                     const struct sw_import_result *r)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(RESULT_MAX);

    if (args->output != CLI_OUTPUT_TEXT)
        cli_result_json(subject, r, &out);
    else
        cli_result_text(subject, r, &out);
    return cli_print(args, &out);
}

/* What to do about an error, where its message cannot know; NULL when it says all there is. */
static const char *hint(enum sw_err_kind kind)
{
    switch (kind) {
    case SW_ERR_TRANSIENT:
        return "the same command tries again and continues where this one stopped, if it can";
    case SW_ERR_CANCELLED:
        return "the same command continues where this one stopped, if it can; "
               "--no-resume starts over";
    case SW_ERR_DENIED:
        return "see --user, --header, --cacert, --cert and --key, and who owns the target";
    default:
        return NULL;
    }
}

static int fail_json(const struct cli_args *args, const struct sw_err *err)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(8192);
    struct sw_json_writer w;

    sw_json_writer_init(&w, &out);
    sw_json_begin_object(&w, NULL);
    sw_json_begin_object(&w, "error");
    sw_json_put_str(&w, "kind", sw_err_kind_name(err->kind));
    sw_json_put_str(&w, "message", err->msg);
    sw_json_end(&w);
    sw_json_end(&w);
    sw_buf_puts(&out, "\n");
    (void)!cli_print(args, &out);
    return sw_err_exit_code(err->kind);
}

int cli_fail(const struct cli_args *args, const struct sw_err *err)
{
    const char *more = hint(err->kind);

    if (args->output != CLI_OUTPUT_TEXT)
        return fail_json(args, err);
    fprintf(stderr, "slipway: %s\n", err->msg);
    if (more)
        fprintf(stderr, "hint: %s\n", more);
    return sw_err_exit_code(err->kind);
}
