/* SPDX-License-Identifier: Apache-2.0 */
/* A VMDK descriptor that is a file of its own: the disk is in others. */
#ifndef SW_FORMATS_VMDK_H
#define SW_FORMATS_VMDK_H

#include "common/bytes.h"
#include "common/error.h"

/* What the text begins with. */
#define SW_VMDK_DESCRIPTOR_MAGIC "# Disk DescriptorFile"

/* SW_ERR_UNSUPPORTED that says what kind of disk this describes, which file it is in, and what to do.
 * No file that it names is ever opened. */
int sw_vmdk_refuse_descriptor(struct sw_span text, struct sw_err *err);

#endif
