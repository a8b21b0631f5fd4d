package s3

import (
	"bytes"
	"hash/crc32"
	"testing"

	"github.com/minio/crc64nvme"
	"pgregory.net/rapid"
)

func TestConcatenatedChecksumIsThatOfTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 8).Draw(t, "parts")
		var sums []Part
		for _, p := range parts {
			sums = append(sums, Part{Sum: checksumBytes(ChecksumCRC64NVME, p), Length: int64(len(p))})
		}
		want := CRC(crc64nvme.Checksum(bytes.Join(parts, nil))).Encode(ChecksumCRC64NVME)
		if got := ObjectChecksum(ChecksumCRC64NVME, sums); got != want {
			t.Fatalf("ObjectChecksum = %s, want %s", got, want)
		}
	})
}

// The check value of the string 123456789 in the catalog of parametrized CRC
// algorithms is ae8b14860a799888 for CRC-64/NVME and e3069283 for CRC-32/ISCSI.
func TestChecksumOfTheCataloguesString(t *testing.T) {
	for _, c := range []struct {
		algorithm string
		want      CRC
	}{
		{ChecksumCRC64NVME, 0xae8b14860a799888},
		{ChecksumCRC32C, 0xe3069283},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			body := []byte("123456789")
			if got := checksumBytes(c.algorithm, body); got != c.want {
				t.Errorf("checksumBytes = %x, want %x", got, c.want)
			}
			if got := checksumBytes(c.algorithm, body[:4]).Update(c.algorithm, body[4:]); got != c.want {
				t.Errorf("update = %x, want %x", got, c.want)
			}
		})
	}
}

func TestCompositeChecksumCountsItsParts(t *testing.T) {
	a, b := []byte("one"), []byte("two")
	sums := []CRC{checksumBytes(ChecksumCRC32C, a), checksumBytes(ChecksumCRC32C, b)}
	table := crc32.MakeTable(crc32.Castagnoli)
	joined := append(sums[0].bytes(ChecksumCRC32C), sums[1].bytes(ChecksumCRC32C)...)
	want := CRC(crc32.Checksum(joined, table)).Encode(ChecksumCRC32C) + "-2"
	if got := ObjectChecksum(ChecksumCRC32C, []Part{{Sum: sums[0], Length: 3}, {Sum: sums[1], Length: 3}}); got != want {
		t.Errorf("ObjectChecksum = %s, want %s", got, want)
	}
}
