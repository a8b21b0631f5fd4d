package s3

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// CRC is the raw checksum of some bytes: 32 or 64 bits, by its algorithm.
type CRC uint64

// checksumBytes returns the checksum of a body in memory.
func checksumBytes(algorithm string, body []byte) CRC {
	if algorithm == ChecksumCRC32C {
		return CRC(crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	}
	return CRC(crc64nvme.Checksum(body))
}

// Update returns the checksum of the bytes that c is the checksum of and more.
func (c CRC) Update(algorithm string, more []byte) CRC {
	if algorithm == ChecksumCRC32C {
		return CRC(crc32.Update(uint32(c), crc32.MakeTable(crc32.Castagnoli), more))
	}
	return CRC(crc64nvme.Update(uint64(c), more))
}

// Encode returns the checksum as S3 writes it: base64 of the big-endian bytes.
func (c CRC) Encode(algorithm string) string {
	return base64.StdEncoding.EncodeToString(c.bytes(algorithm))
}

func (c CRC) bytes(algorithm string) []byte {
	if algorithm == ChecksumCRC32C {
		return binary.BigEndian.AppendUint32(nil, uint32(c))
	}
	return binary.BigEndian.AppendUint64(nil, uint64(c))
}

// ObjectChecksum returns the checksum of an object sent in parts: CRC64NVME of the
// whole object, CRC32C of the parts' checksums with "-" and their number behind it.
// See "Checking object integrity" in the Amazon S3 user guide.
func ObjectChecksum(algorithm string, parts []Part) string {
	if algorithm == ChecksumCRC32C {
		var all []byte
		for _, p := range parts {
			all = append(all, p.Sum.bytes(algorithm)...)
		}
		return fmt.Sprintf("%s-%d", checksumBytes(algorithm, all).Encode(algorithm), len(parts))
	}
	var whole CRC
	for _, p := range parts {
		whole = concatenate64(whole, p.Sum, p.Length)
	}
	return whole.Encode(algorithm)
}

// crc64NVMEPolynomial of degree 64, without its highest term and with the bits
// reversed: bit 63 is the coefficient of x^0.
const crc64NVMEPolynomial = 0x9a6c9329ac4bc9b5

// concatenate64 returns the CRC64NVME of two runs of bytes, the second length bytes
// long, from the CRC64NVME of each. A CRC is the remainder of a polynomial, so what
// is appended multiplies what stands before by x^(8 length); the inversions at
// both ends cancel out.
func concatenate64(first, second CRC, length int64) CRC {
	return CRC(multiply64(powerOfX64(uint64(length)*8), uint64(first))) ^ second
}

// powerOfX64 returns x^n modulo the polynomial, by repeated squaring.
func powerOfX64(n uint64) uint64 {
	product, square := uint64(1)<<63, uint64(1)<<62
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			product = multiply64(product, square)
		}
		square = multiply64(square, square)
	}
	return product
}

// multiply64 multiplies two polynomials modulo the polynomial.
func multiply64(a, b uint64) uint64 {
	var product uint64
	for a != 0 {
		if a>>63 == 1 {
			product ^= b
		}
		a <<= 1
		// b times x: x^63 overflows into the polynomial.
		overflow := b & 1
		b = b>>1 ^ crc64NVMEPolynomial&(0-overflow)
	}
	return product
}
