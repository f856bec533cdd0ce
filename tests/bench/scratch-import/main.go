// SPDX-License-Identifier: Apache-2.0

// scratch-import URL FILE: what CDI's importer does before it runs qemu-img: fetch the object, undo
// its compression with the decompressors that CDI is built with (pgzip, klauspost/compress,
// ulikunitz/xz), and keep the result in a scratch file, with holes where it is zero. A contender of
// the benchmark, so that the comparison does not hang on the speed of other decompressors.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"github.com/ulikunitz/xz"
)

const blockSize = 32 << 10 // unit of holes, as io.Copy hands it to a writer

func decompressor(name string, in io.Reader) (io.Reader, error) {
	switch path.Ext(name) {
	case ".gz":
		return pgzip.NewReaderN(in, 1<<20, 4)
	case ".zst":
		d, err := zstd.NewReader(in)
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case ".xz":
		return xz.NewReader(bufio.NewReader(in))
	}
	return in, nil
}

// copySparse writes in to out and seeks over blocks of zeroes.
func copySparse(out *os.File, in io.Reader) error {
	block, zeroes := make([]byte, blockSize), make([]byte, blockSize)
	var size int64
	for {
		n, err := io.ReadFull(in, block)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		if n > 0 && !bytes.Equal(block[:n], zeroes[:n]) {
			if _, werr := out.WriteAt(block[:n], size); werr != nil {
				return werr
			}
		}
		size += int64(n)
		if err != nil {
			break
		}
	}
	if err := out.Truncate(size); err != nil {
		return err
	}
	return out.Sync()
}

func run(url, name string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", answer.Status)
	}
	in, err := decompressor(url, answer.Body)
	if err != nil {
		return err
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := copySparse(out, in); err != nil {
		return err
	}
	return out.Close()
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: scratch-import URL FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "scratch-import:", err)
		os.Exit(1)
	}
}
