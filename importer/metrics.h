/* SPDX-License-Identifier: Apache-2.0 */
/* The progress endpoint of the importer pod (contract importer 1.12): HTTPS, any path, Prometheus
 * text. The controller finds the one sample line by a regular expression, so its spelling is fixed:
 *
 *   kubevirt_cdi_import_progress_total{ownerUID="<uid>"} 42.17
 */
#ifndef SW_IMPORTER_METRICS_H
#define SW_IMPORTER_METRICS_H

#include "net/http_server.h"
#include "transfer/import.h"

struct sw_metrics {
    const char *owner_uid;              /* borrowed                               */
    const struct sw_progress *progress; /* borrowed; read at every request        */
    double shown;                       /* the highest percentage shown yet; the server's thread */
    struct sw_http_server *server;      /* NULL: not running                      */
};

/* Serve `m` on `port` (0: any free one). -1 when that cannot be; m->server is then NULL. */
SW_MUST_CHECK
int sw_metrics_start(struct sw_metrics *m, uint16_t port, struct sw_err *err);
void sw_metrics_stop(struct sw_metrics *m);

/* The page. Percentages are of the source's bytes, two decimals, never decrease, and reach 100 only
 * when the import is complete; 0 while the total is not known. */
void sw_metrics_page(struct sw_metrics *m, struct sw_buf *out);

#endif
