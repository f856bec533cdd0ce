/* SPDX-License-Identifier: Apache-2.0 */
/* One claim of local mode: the directory VOLUMES/<namespace>/<name>, its disk.img (an
 * archive: its directory files), its
 * datavolume.json (the object with the status that the cluster would show) and the lock that says
 * whether somebody is at work.
 *
 * datavolume.json is replaced whole at every change, so a reader never sees half of one. The lock is
 * an flock on the file .lock, held for as long as the process that fills the claim lives; the
 * kernel drops it when that process dies, which is how `get` knows a stopped import from a running
 * one.
 *
 * A struct cli_claim belongs to one thread, but for cli_claim_write(), which locks. */
#ifndef SW_CLI_CLAIM_H
#define SW_CLI_CLAIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cli/datavolume.h"
#include "common/error.h"

#define CLI_CLAIM_JSON_MAX ((size_t)4 << 20)
#define CLI_RFC3339_MAX 32

/* A condition of status.conditions. */
struct cli_condition {
    const char *type; /* "Bound", "Running", "Ready"    */
    bool is_true;
    const char *reason; /* static; may be ""              */
    char message[512];
    char heartbeat[CLI_RFC3339_MAX];  /* lastHeartbeatTime: when anything of it changed          */
    char transition[CLI_RFC3339_MAX]; /* lastTransitionTime: when is_true changed                */
};

enum { CLI_BOUND, CLI_RUNNING, CLI_READY, CLI_CONDITION_COUNT_ };

struct cli_claim {
    char *dir, *disk, *status_path; /* paths; owned                                      */
    int lock;                       /* descriptor of .lock, -1: not held                 */
    char created[CLI_RFC3339_MAX];  /* metadata.creationTimestamp                        */
    uint64_t restarts;              /* runs after the first                              */
    bool was_seen;                  /* an earlier run wrote datavolume.json              */
    bool was_done;                  /* ... and its phase was Succeeded                   */
    bool is_same_spec;              /* ... and its spec was the same                     */
    const char *phase;              /* static: "ImportScheduled", ...                    */
    char progress[16];              /* "N/A", "42.17%", "100.0%"                         */
    struct cli_condition conditions[CLI_CONDITION_COUNT_];
    const struct cli_datavolume *dv; /* borrowed                                          */
    pthread_mutex_t mutex;           /* guards phase, progress, conditions and the file   */
};

/* Make the directory if need be, take the lock, read what an earlier run left. -1 with
 * SW_ERR_TRANSIENT (another process holds the lock), SW_ERR_BAD_DATA (datavolume.json is not ours),
 * or errno's kind. After failure as after success the caller owes cli_claim_close(). */
SW_MUST_CHECK
int cli_claim_open(const char *volumes, const struct cli_datavolume *dv, struct cli_claim *ret,
                   struct sw_err *err);
void cli_claim_close(struct cli_claim *c);

#define cli_autoclaim __attribute__((cleanup(cli_claim_close)))

/* The moments of an import, as the cluster's controller would show them (contract
 * datavolume-controller 4). Each writes the file; errno's kind on failure. */
SW_MUST_CHECK
int cli_claim_scheduled(struct cli_claim *c, struct sw_err *err);
SW_MUST_CHECK
int cli_claim_running(struct cli_claim *c, double percent, struct sw_err *err);
SW_MUST_CHECK
int cli_claim_succeeded(struct cli_claim *c, struct sw_err *err);

/* The run ended with `why`. What a later run may mend (network, cancelled) leaves the phase at
 * ImportScheduled, as a pod that will be restarted does; everything else is Failed. */
SW_MUST_CHECK
int cli_claim_failed(struct cli_claim *c, const struct sw_err *why, struct sw_err *err);

/* Whether somebody holds the lock of the claim in `dir`. */
bool cli_claim_is_busy(const char *dir);

/* VOLUMES/<ns>/<name>, to be freed; NULL when out of memory. */
char *cli_claim_dir(const char *volumes, const char *ns, const char *name);

/* A point in time as Kubernetes writes it ("2026-01-02T03:04:05Z"), and back; -1 when it is none. */
void cli_put_time(time_t when, char text[CLI_RFC3339_MAX]);
time_t cli_parse_time(const char *text);

#endif
