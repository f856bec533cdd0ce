/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <stddef.h>
#include <string.h>

#include "cli/commands.h"
#include "common/buf.h"
#include "common/parse.h"
#include "transfer/source.h"

#define BIT(id) (1U << (id))
#define DISKS (BIT(CLI_IMPORT) | BIT(CLI_INFO) | BIT(CLI_VERIFY))
#define READS (DISKS | BIT(CLI_UNPACK))
#define CHECKS (BIT(CLI_IMPORT) | BIT(CLI_VERIFY) | BIT(CLI_UNPACK))
#define WORKS (CHECKS | BIT(CLI_APPLY))
#define LOCAL (BIT(CLI_APPLY) | BIT(CLI_GET))
#define ALL (BIT(CLI_COMMAND_COUNT_) - 1)
#define AT(field) offsetof(struct cli_args, field)

/* The order is the order of --help. */
const struct cli_option cli_options[] = {
    { "format", 0, CLI_CHOICE, "auto|raw|qcow2|vmdk|vdi|vhd|vhdx|qed|parallels", AT(format), DISKS,
      "image format; default: what the content says" },
    { "size", 0, CLI_SIZE, "BYTES", AT(size), BIT(CLI_IMPORT),
      "grow the disk to this size (10Gi, 500M); a larger image is refused" },
    { "checksum", 0, CLI_TEXT, "ALG:HEX", AT(checksum), CHECKS,
      "digest the served bytes must have: md5, sha1, sha256 or sha512" },
    { "checksum-url", 0, CLI_TEXT, "URL", AT(checksum_url), CHECKS,
      "find the digest in this list (SHA256SUMS and the like)" },
    { "signature", 0, CLI_TEXT, "URL|FILE", AT(signature), CHECKS,
      "OpenPGP signature of that list, or of the image" },
    { "keyring", 0, CLI_TEXT, "FILE", AT(keyring), CHECKS, "public keys that may have signed" },
    { "no-digest", 0, CLI_FLAG, NULL, AT(no_digest), CHECKS,
      "do not compute the sha256 when no digest is asked for" },
    { "expect-arch", 0, CLI_TEXT, "ARCH", AT(expect_arch), BIT(CLI_IMPORT) | BIT(CLI_VERIFY),
      "refuse a disk that does not boot there (riscv64, x86_64, aarch64)" },
    { "preallocation", 0, CLI_CHOICE, "off|falloc|full", AT(prealloc), BIT(CLI_IMPORT),
      "reserve the space of the whole disk" },
    { "connections", 0, CLI_COUNT, "N", AT(connections), READS | BIT(CLI_APPLY),
      "parallel connections to the server, 1 to 16" },
    { "memory", 0, CLI_SIZE, "SIZE", AT(memory), WORKS,
      "memory for buffers; default 64Mi, less in a small cgroup" },
    { "no-resume", 0, CLI_FLAG, NULL, AT(no_resume), BIT(CLI_IMPORT) | BIT(CLI_APPLY),
      "start over even if an earlier run left something to continue" },
    { "cacert", 0, CLI_TEXT, "FILE", AT(cacert), READS | BIT(CLI_APPLY),
      "PEM certificates to trust besides the system's" },
    { "cert", 0, CLI_TEXT, "FILE", AT(cert), READS, "client certificate, PEM" },
    { "key", 0, CLI_TEXT, "FILE", AT(key), READS, "its private key, PEM" },
    { "insecure", 0, CLI_FLAG, NULL, AT(insecure), READS, "do not check the server's certificate" },
    { "user", 0, CLI_TEXT, "USER:PASS|@FILE", AT(user), READS,
      "basic authentication; @FILE reads it from a file" },
    { "header", 0, CLI_LIST, "'Name: value'|@FILE", AT(headers), READS,
      "send this header too; may be repeated" },
    { "proxy", 0, CLI_TEXT, "URL", AT(proxy), READS | BIT(CLI_APPLY),
      "proxy instead of http_proxy, https_proxy; '' for none" },
    { "file", 'f', CLI_TEXT, "FILE", AT(file), LOCAL,
      "manifest, YAML or JSON; - is standard input" },
    { "volumes", 0, CLI_TEXT, "DIR", AT(volumes), LOCAL, "where the claims lie" },
    { "watch", 'w', CLI_FLAG, NULL, AT(watch), BIT(CLI_GET), "print a line whenever one changes" },
    { "output", 'o', CLI_CHOICE, "text|json|yaml", AT(output), ALL, "how the result is printed" },
    { "progress", 0, CLI_CHOICE, "auto|bar|json|none", AT(progress), WORKS,
      "on standard error; auto: a bar on a terminal, else JSON lines" },
    { "help", 'h', CLI_FLAG, NULL, AT(help), ALL, "this text" },
};
const size_t cli_n_options = SW_COUNT(cli_options);

const struct cli_command cli_commands[CLI_COMMAND_COUNT_] = {
    [CLI_IMPORT] = { "import", "SOURCE TARGET", 2,
                     "place a disk image on a file, block device or NBD export, verified, in one "
                     "pass",
                     "slipway import https://example.org/debian-riscv64.qcow2 disk.img\n"
                     "slipway import --checksum-url https://example.org/SHA512SUMS --expect-arch "
                     "riscv64 \\\n"
                     "        https://example.org/disk.raw.xz /dev/vg0/guest\n"
                     "curl -s https://example.org/disk.qcow2 | slipway import - disk.img\n",
                     cli_import },
    [CLI_INFO] = { "info", "SOURCE", 1,
                   "describe an image: format, sizes, partitions, boot architecture",
                   "slipway info https://example.org/debian-riscv64.qcow2\n"
                   "slipway info -o json disk.qcow2.xz\n",
                   cli_info },
    [CLI_VERIFY] = { "verify", "SOURCE", 1, "read and check a whole image, write nothing",
                     "slipway verify --checksum sha256:9f86d0... https://example.org/disk.qcow2\n",
                     cli_verify },
    [CLI_UNPACK] = { "unpack", "SOURCE DIR", 2,
                     "unpack a tar archive, compressed or not, into a directory",
                     "slipway unpack https://example.org/files.tar.xz /srv/files\n"
                     "tar -c . | slipway unpack - /srv/copy\n",
                     cli_unpack },
    [CLI_APPLY] = { "apply", "", 0,
                    "make the disks that DataVolume manifests ask for, on this machine",
                    "slipway apply -f datavolume.yaml --volumes /var/lib/slipway\n", cli_apply },
    [CLI_GET] = { "get", "", 0, "show the phase and progress of the DataVolumes of a directory",
                  "slipway get --volumes /var/lib/slipway\n"
                  "slipway get -f datavolume.yaml --volumes /var/lib/slipway -o json\n",
                  cli_get },
};

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < SW_COUNT(cli_commands); i++) {
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    }
    return NULL;
}

static bool applies(const struct cli_option *o, const struct cli_command *command)
{
    return o->commands & BIT(command - cli_commands);
}

/* --- Suggestions ----------------------------------------------------------------------------- */

#define WORD_MAX 32

/* Levenshtein distance of two short words; longer ones are as good as unrelated. */
static unsigned distance(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    unsigned row[WORD_MAX + 1];

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

/* Keep `candidate` when it is nearer to `word` than what was found before: at most one error for
 * each three letters, or a prefix ("--checksum-u"). */
static void consider(const char *word, const char *candidate, unsigned *best, const char **ret)
{
    size_t n = strlen(word);
    unsigned d = n >= 3 && strncmp(word, candidate, n) == 0 ? 1 : distance(word, candidate);

    if (d < *best && d <= (n + 2) / 3) {
        *best = d;
        *ret = candidate;
    }
}

const char *cli_nearest_option(const struct cli_command *command, const char *word)
{
    const char *found = NULL;
    unsigned best = WORD_MAX;

    for (size_t i = 0; i < cli_n_options; i++) {
        if (applies(&cli_options[i], command))
            consider(word, cli_options[i].name, &best, &found);
    }
    return found;
}

const char *cli_nearest_command(const char *word)
{
    const char *found = NULL;
    unsigned best = WORD_MAX;

    for (size_t i = 0; i < SW_COUNT(cli_commands); i++)
        consider(word, cli_commands[i].name, &best, &found);
    return found;
}

/* --- Parsing --------------------------------------------------------------------------------- */

/* The position of `word` among the words of "a|b|c", or -1. */
static int choice_index(const char *words, const char *word)
{
    size_t n = strlen(word);
    int index = 0;

    for (const char *p = words; p; index++) {
        const char *end = strchrnul(p, '|');

        if ((size_t)(end - p) == n && strncmp(p, word, n) == 0)
            return index;
        p = *end ? end + 1 : NULL;
    }
    return -1;
}

static int store_header(struct cli_args *args, const char *value, struct sw_err *err)
{
    if (args->n_headers == CLI_HEADERS_MAX)
        return sw_err_set(err, SW_ERR_USAGE, "--header: more than %d of them", CLI_HEADERS_MAX);
    args->headers[args->n_headers++] = value;
    return 0;
}

static int store(const struct cli_option *o, const char *value, struct cli_args *args,
                 struct sw_err *err)
{
    char *field = (char *)args + o->offset;
    int index;

    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)field = true;
        return 0;
    case CLI_TEXT:
        *(const char **)field = value;
        return 0;
    case CLI_LIST:
        return store_header(args, value, err);
    case CLI_SIZE:
        if (sw_parse_size(value, (uint64_t *)field, err) < 0)
            return sw_err_wrap(err, "--%s", o->name);
        return *(uint64_t *)field
                   ? 0
                   : sw_err_set(err, SW_ERR_USAGE, "--%s: must be more than zero", o->name);
    case CLI_COUNT:
        if (sw_parse_u64(value, 1, SW_LANES_MAX, (uint64_t *)field, err) < 0)
            return sw_err_wrap(err, "--%s", o->name);
        return 0;
    case CLI_CHOICE:
        index = choice_index(o->value, value);
        if (index < 0)
            return sw_err_set(err, SW_ERR_USAGE, "--%s: '%.64s' is not one of %s", o->name, value,
                              o->value);
        *(unsigned *)field = (unsigned)index;
        return 0;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "--%s: option of no kind", o->name);
}

static const struct cli_option *find_option(const struct cli_command *command, const char *name,
                                            size_t n)
{
    for (size_t i = 0; i < cli_n_options; i++) {
        const struct cli_option *o = &cli_options[i];

        if (applies(o, command) && strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_command *command, char letter)
{
    for (size_t i = 0; i < cli_n_options; i++) {
        if (applies(&cli_options[i], command) && cli_options[i].letter == letter)
            return &cli_options[i];
    }
    return NULL;
}

static int unknown_option(const struct cli_command *command, const char *word, struct sw_err *err)
{
    sw_autobuf struct sw_buf name = SW_BUF_INIT(WORD_MAX);
    const char *plain = word + strspn(word, "-");
    const char *near;

    sw_buf_append(&name, plain, strcspn(plain, "="));
    near = cli_nearest_option(command, sw_buf_str(&name));
    if (near)
        return sw_err_set(err, SW_ERR_USAGE, "unknown option '%.64s'; did you mean '--%s'?", word,
                          near);
    return sw_err_set(err, SW_ERR_USAGE, "unknown option '%.64s'; see 'slipway help %s'", word,
                      command->name);
}

/* What is left of the command line. */
struct cursor {
    int at, argc;
    char *const *argv;
};

/* One word that begins with a dash, and its value: "--name=value", "--name value", "-fvalue",
 * "-f value". */
static int parse_option(const struct cli_command *command, struct cursor *c, struct cli_args *args,
                        struct sw_err *err)
{
    const char *word = c->argv[c->at++];
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word + 2, "=") : 1;
    const struct cli_option *o = is_long ? find_option(command, word + 2, n)
                                         : find_letter(command, word[1]);
    const char *rest = is_long ? word + 2 + n : word + 2; /* "=value" or "value" or "" */
    const char *value = *rest ? rest + is_long : NULL;

    if (!o)
        return unknown_option(command, word, err);
    if (o->kind == CLI_FLAG && value)
        return sw_err_set(err, SW_ERR_USAGE, "--%s takes no value", o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (c->at == c->argc)
            return sw_err_set(err, SW_ERR_USAGE, "--%s needs a value: %s", o->name, o->value);
        value = c->argv[c->at++];
    }
    return store(o, value, args, err);
}

static int check_operands(const struct cli_command *command, const struct cli_args *args,
                          struct sw_err *err)
{
    if (args->help || args->n_operands == command->n_operands)
        return 0;
    if (!command->n_operands)
        return sw_err_set(err, SW_ERR_USAGE, "'%.64s' is one word too many; see 'slipway help %s'",
                          args->operands[0], command->name);
    return sw_err_set(err, SW_ERR_USAGE, "usage: slipway %s [options] %s", command->name,
                      command->operands);
}

int cli_parse(const struct cli_command *command, int argc, char *const *argv, struct cli_args *ret,
              struct sw_err *err)
{
    struct cursor c = { .argc = argc, .argv = argv };
    bool options_end = false;

    *ret = (struct cli_args){ 0 };
    while (c.at < argc) {
        const char *word = argv[c.at];

        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
            c.at++;
        } else if (!options_end && word[0] == '-' && word[1]) {
            if (parse_option(command, &c, ret, err) < 0)
                return -1;
        } else if (ret->n_operands == SW_COUNT(ret->operands)) {
            return sw_err_set(err, SW_ERR_USAGE,
                              "'%.64s' is one word too many; see 'slipway help %s'", word,
                              command->name);
        } else {
            ret->operands[ret->n_operands++] = word;
            c.at++;
        }
    }
    return check_operands(command, ret, err);
}

/* --- Help and completion --------------------------------------------------------------------- */

static void print_option(FILE *out, const struct cli_option *o)
{
    sw_autobuf struct sw_buf head = SW_BUF_INIT(128);

    if (o->letter)
        sw_buf_printf(&head, "-%c, ", o->letter);
    sw_buf_printf(&head, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    if (head.n <= 26)
        fprintf(out, "  %-26s  %s\n", sw_buf_str(&head), o->help);
    else
        fprintf(out, "  %s\n  %-26s  %s\n", sw_buf_str(&head), "", o->help);
}

/* Each line of text after two blanks. */
static void print_indented(FILE *out, const char *text)
{
    while (*text) {
        int n = (int)(strchrnul(text, '\n') - text);

        fprintf(out, "  %.*s\n", n, text);
        text += n + (text[n] != '\0');
    }
}

static void print_overview(FILE *out)
{
    fputs("slipway: disk images onto disks, verified, in one pass\n\n"
          "Usage: slipway COMMAND [options]\n\nCommands:\n",
          out);
    for (size_t i = 0; i < SW_COUNT(cli_commands); i++)
        fprintf(out, "  %-8s  %s\n", cli_commands[i].name, cli_commands[i].summary);
    fputs("\n'slipway help COMMAND' explains one; 'slipway --version' prints the version.\n"
          "A SOURCE is http(s)://..., nbd(s)://..., nbd+unix://..., a path, or - for standard\n"
          "input. A TARGET is a path (file or block device) or an NBD URI.\n\n"
          "Exit codes: 0 done, 1 internal error, 2 usage, 3 network (try again), 4 denied,\n"
          "5 not found, 6 bad data or digest, 7 unsupported, 8 no space, 9 cancelled.\n",
          out);
}

void cli_print_help(FILE *out, const struct cli_command *command)
{
    if (!command) {
        print_overview(out);
        return;
    }
    fprintf(out, "slipway %s: %s\n\nUsage: slipway %s [options]%s%s\n\nOptions:\n", command->name,
            command->summary, command->name, *command->operands ? " " : "", command->operands);
    for (size_t i = 0; i < cli_n_options; i++) {
        if (applies(&cli_options[i], command))
            print_option(out, &cli_options[i]);
    }
    fputs("\nExamples:\n", out);
    print_indented(out, command->examples);
}

static void print_option_words(FILE *out, const struct cli_option *o)
{
    fprintf(out, "--%s", o->name);
    if (o->kind == CLI_CHOICE) {
        fputc(' ', out);
        for (const char *p = o->value; *p; p++)
            fputc(*p == '|' ? ' ' : *p, out);
    } else if (o->kind != CLI_FLAG) {
        fprintf(out, " %s",
                strstr(o->value, "FILE")       ? "@file"
                : strcmp(o->value, "DIR") == 0 ? "@dir"
                                               : "@");
    }
    fputc('\n', out);
    if (o->letter)
        fprintf(out, "-%c%s\n", o->letter,
                o->kind == CLI_FLAG             ? ""
                : strcmp(o->value, "FILE") == 0 ? " @file"
                                                : " @");
}

void cli_print_words(FILE *out, const struct cli_command *command)
{
    if (!command) {
        for (size_t i = 0; i < SW_COUNT(cli_commands); i++)
            fprintf(out, "%s\n", cli_commands[i].name);
        fputs("help\n", out);
        return;
    }
    for (size_t i = 0; i < cli_n_options; i++) {
        if (applies(&cli_options[i], command))
            print_option_words(out, &cli_options[i]);
    }
}
