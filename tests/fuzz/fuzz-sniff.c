/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided from the first bytes of a source: wrapper and format. */
#include <assert.h>
#include <string.h>

#include "formats/decoder.h"
#include "formats/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sw_span head = { data, size };
    struct sw_err err = { 0 };
    enum sw_format format = SW_FORMAT_AUTO;
    enum sw_wrap wrap = sw_wrap_sniff(head);

    assert((unsigned)wrap < SW_WRAP_COUNT_);
    if (sw_format_sniff(head, &format, &err) == 0)
        assert(format > SW_FORMAT_AUTO && format < SW_FORMAT_VHD_FIXED);
    else
        assert(err.kind == SW_ERR_UNSUPPORTED && strlen(err.msg) > 0);
    return 0;
}
