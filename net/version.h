/* SPDX-License-Identifier: Apache-2.0 */
/* What we call ourselves on the wire. */
#ifndef SW_NET_VERSION_H
#define SW_NET_VERSION_H

#define SW_USER_AGENT "slipway/" SW_VERSION

#endif
