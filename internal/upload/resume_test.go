package upload

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// left opens an upload of key in which some parts of content stand, by number, as an attempt
// that was killed would leave it.
func (r *rig) left(t *testing.T, key string, content []byte, size int, numbers ...int) s3.OpenUpload {
	t.Helper()
	upload, err := r.client.CreateUpload(t.Context(), s3.Object{Key: key}, s3.ChecksumCRC64NVME)
	if err != nil {
		t.Fatalf("create upload: %v", err)
	}
	for _, n := range numbers {
		part := content[(n-1)*size : min(n*size, len(content))]
		if _, err := r.client.UploadPart(t.Context(), upload, int32(n), s3.ChecksumCRC64NVME, s3.ContentBody(s3.ChecksumCRC64NVME, part, s3.Section{})); err != nil {
			t.Fatalf("upload part: %v", err)
		}
	}
	return upload
}

func TestUploadGoesOnWhereAnEarlierAttemptWasKilled(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(36*mebi + 5)
	key, other := "resumed", newFile(36*mebi+4).content
	changed := slices.Clone(f.content)
	changed[9*mebi]++
	for _, c := range []struct {
		name string
		left s3.OpenUpload
		want []string
	}{
		{"first and last of five", r.left(t, key, f.content, 8*mebi, 1, 5), []string{"2", "3", "4"}},
		{"one part has changed", r.left(t, key, changed, 8*mebi, 1, 2, 3, 5), []string{"2", "4"}},
		{"parts of another size", r.left(t, key, f.content, 6*mebi, 1, 2, 4), []string{"3", "5", "6", "7"}},
		{"all", r.left(t, key, f.content, 8*mebi, 1, 2, 3, 4, 5), nil},
		{"without parts", r.left(t, key, nil, 0), []string{"1", "2", "3", "4", "5"}},
		{"gone", s3.OpenUpload{Key: key, UploadID: "no-such-upload"}, []string{"1", "2", "3", "4", "5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.proxy.Requests(s3test.Every)
			file := f.file(key)
			file.ResumableUploads = []s3.OpenUpload{c.left}
			receipt, err := r.Upload(t.Context(), file)
			if err != nil {
				t.Fatalf("Upload: %v", err)
			}
			if got := r.proxy.PartsSince(before); !slices.Equal(got, c.want) {
				t.Errorf("parts sent = %v, want %v", got, c.want)
			}
			if want := checksumOf(f.content); receipt.Checksum != want {
				t.Errorf("checksum = %s, want %s", receipt.Checksum, want)
			}
			r.wantStored(t, key, f.content)
		})
	}
	r.wantNoUploads(t)
	for name, u := range map[string]s3.OpenUpload{
		"of other content":   r.left(t, key, other, 8*mebi, 1, 2),
		"of other lengths":   r.left(t, key, other, 7*mebi, 2, 3),
		"without a checksum": r.stranger(t, key),
	} {
		file := f.file(key)
		file.ResumableUploads = []s3.OpenUpload{u}
		if _, err := r.Upload(t.Context(), file); err != nil {
			t.Fatalf("Upload beside one %s: %v", name, err)
		}
		if open, err := r.client.IsOpen(t.Context(), u); err != nil || !open {
			t.Errorf("the upload %s is gone, %v: it was somebody else's", name, err)
		}
	}
}

// stranger opens an upload without parts as a program without checksums would.
func (r *rig) stranger(t *testing.T, key string) s3.OpenUpload {
	t.Helper()
	address, secure := strings.CutPrefix(r.server.Endpoint, "https://")
	other, err := minio.NewCore(strings.TrimPrefix(address, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(r.server.AccessKey, r.server.SecretKey, ""), Secure: secure, Region: r.server.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := other.NewMultipartUpload(t.Context(), testBucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s3.OpenUpload{Key: key, UploadID: id}
}

// The one with most parts is resumed, the others of ours are aborted.
func TestUploadGoesOnWithTheFullestUpload(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(20 * mebi)
	file := f.file("fullest")
	file.ResumableUploads = []s3.OpenUpload{
		r.left(t, file.Key, f.content, 8*mebi, 1), r.left(t, file.Key, f.content, 8*mebi, 1, 2), r.left(t, file.Key, f.content, 8*mebi, 3),
	}
	before := r.proxy.Requests(s3test.Every)
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	if got := r.proxy.PartsSince(before); !slices.Equal(got, []string{"3"}) {
		t.Errorf("parts sent = %v, want 3", got)
	}
	r.wantStored(t, file.Key, f.content)
	r.wantNoUploads(t)
}

func TestUploadFindsThatTheFileStands(t *testing.T) {
	for _, algorithm := range []string{s3.ChecksumCRC64NVME, s3.ChecksumCRC32C} {
		t.Run(algorithm, func(t *testing.T) {
			r := newRig(t, func(o *s3.Options) { o.Checksum = algorithm })
			f := newFile(20 * mebi)
			file := f.file("stands")
			file.Metadata = map[string]string{"mtime": "1.5"}
			first, err := r.Upload(t.Context(), file)
			if err != nil {
				t.Fatalf("Upload: %v", err)
			}
			file.MayExist = true
			for _, c := range []struct {
				name   string
				change func()
				parts  int
			}{
				{"the same", func() {}, 0},
				{"another time", func() { file.Metadata = map[string]string{"mtime": "2.5"} }, 3},
				{"other bytes", func() { f.content[mebi]++ }, 3},
			} {
				c.change()
				before := r.proxy.Requests(s3test.Every)
				receipt, err := r.Upload(t.Context(), file)
				if err != nil {
					t.Fatalf("Upload of %s: %v", c.name, err)
				}
				if got := len(r.proxy.PartsSince(before)); got != c.parts {
					t.Errorf("%s: %d parts sent, want %d", c.name, got, c.parts)
				}
				if c.parts == 0 && receipt != first {
					t.Errorf("receipt = %+v, want %+v", receipt, first)
				}
				r.wantStored(t, file.Key, f.content)
			}
		})
	}
}

func TestUploadKeepsWhatCanGoOn(t *testing.T) {
	r := newRig(t, nil)
	r.keepOpen = true
	f := newFile(20 * mebi)
	file := f.file("kept")
	r.proxy.Times(s3test.Always, func(r *http.Request) bool { return s3test.IsPart(r) && r.URL.Query().Get("partNumber") == "3" },
		s3test.Refuse(400, "ExpiredToken"))
	_, err := r.Upload(t.Context(), file)
	e := asError(t, err, s3.Credentials, s3.ReasonCredentialsExpired)
	if e.LeftOpen == nil {
		t.Fatal("LeftOpen is nil, want the upload")
	}
	r.proxy.Do(nil)
	found, err := r.client.ListParts(t.Context(), *e.LeftOpen, s3.ChecksumCRC64NVME)
	if err != nil {
		t.Fatal(err)
	}
	before := r.proxy.Requests(s3test.Every)
	file.ResumableUploads = []s3.OpenUpload{*e.LeftOpen}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	if got := len(r.proxy.PartsSince(before)); got != 3-len(found.Parts) {
		t.Errorf("%d parts sent, want those of 3 that did not stand: %v", got, slices.Collect(maps.Keys(found.Parts)))
	}
	r.wantStored(t, file.Key, f.content)
	f.change = func(int) error { return s3.ChangedError{Text: "touched"} }
	_, err = r.Upload(t.Context(), file)
	if e := asError(t, err, s3.Source, s3.ReasonChanged); e.LeftOpen != nil {
		t.Error("an upload of a file that has changed is kept")
	}
	r.wantNoUploads(t)
}

// Two attempts at a file may be under way at once; what the one completes is the other's too.
func TestUploadWhoseTwinIsFaster(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(20 * mebi)
	file := f.file("twin")
	upload := r.left(t, file.Key, f.content, 8*mebi, 1)
	var once bool
	r.proxy.Times(1, s3test.IsComplete, func(http.ResponseWriter, *http.Request) bool {
		if once {
			return false
		}
		once = true
		twin := f.file(file.Key)
		twin.ResumableUploads = []s3.OpenUpload{upload}
		if _, err := r.Upload(t.Context(), twin); err != nil {
			t.Errorf("Upload of the twin: %v", err)
		}
		return false
	})
	file.ResumableUploads = []s3.OpenUpload{upload}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	r.wantStored(t, file.Key, f.content)
	r.wantNoUploads(t)
}

func TestPartsAreLargerWhereRequestsArePaced(t *testing.T) {
	for _, c := range []struct {
		limit PrefixLimit
		size  int64
		want  int64
	}{
		{PrefixLimit{Window: 8}, 4 << 30, 8 * mebi},
		{PrefixLimit{Window: 8, Rate: 100}, 4 << 30, 64 * mebi},
		{PrefixLimit{Window: 8, Rate: 100}, 512 * mebi, 32 * mebi},
		{PrefixLimit{Window: 8, Rate: 100}, 100 * mebi, 8 * mebi},
		{PrefixLimit{Window: 0, Rate: 100}, 512 * mebi, 8 * mebi},
		{PrefixLimit{Window: 8, Rate: 100}, 5 << 40, 525 * mebi},
	} {
		gate := NewGate()
		c.limit.Prefix = "prefix"
		gate.Set(Grant{}, []PrefixLimit{c.limit})
		u := &Uploader{gate: gate}
		if got := u.choosePartSize("prefix", c.size); got != c.want {
			t.Errorf("part size of %d bytes with %+v = %d, want %d", c.size, c.limit, got, c.want)
		}
	}
}

// partsOf makes an object of what is in memory.
type partsOf struct{ content []byte }

func (p partsOf) Fill(_ context.Context, n int, buf []byte) (int, bool, error) {
	rest := p.content[n*8*mebi:]
	length := copy(buf[:min(8*mebi, len(buf))], rest)
	return length, length == len(rest), nil
}

func (partsOf) Rest()        {}
func (partsOf) Close() error { return nil }

func TestStreamGoesOnWhereAnEarlierAttemptWasKilled(t *testing.T) {
	r := newRig(t, nil)
	content := newFile(36 * mebi).content
	stream := Stream{Prefix: "prefix", Key: "stream", Size: 36 * mebi, Parts: partsOf{content}}
	foreign := r.left(t, stream.Key, newFile(36*mebi+1).content, 8*mebi, 1, 2, 3)
	stream.ResumableUploads = []s3.OpenUpload{foreign, r.left(t, stream.Key, content, 8*mebi, 1, 3), r.left(t, stream.Key, nil, 0)}
	before := r.proxy.Requests(s3test.Every)
	if _, err := r.UploadStream(t.Context(), stream); err != nil {
		t.Fatalf("UploadStream: %v", err)
	}
	if got := strings.Join(r.proxy.PartsSince(before), " "); got != "2 4 5" {
		t.Errorf("parts sent = %s, want 2 4 5", got)
	}
	r.wantStored(t, stream.Key, content)
	uploads, err := r.client.OpenUploads(t.Context(), "")
	if err != nil || len(uploads) != 1 || uploads[0].UploadID != foreign.UploadID {
		t.Errorf("open uploads = %s, %v, want the one that is not ours", fmt.Sprint(uploads), err)
	}
}

// A server that never ends its list of parts has none that can be resumed.
func TestUploadWhosePartsAreListedForEverIsSentAnew(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.Times(s3test.Always, func(q *http.Request) bool { return s3test.IsGet(q) && q.URL.Query().Has("uploadId") },
		s3test.AnswerXML("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"+
			"<Part><PartNumber>1</PartNumber><ETag>x</ETag><Size>5</Size></Part></ListPartsResult>"))
	f := newFile(17 * mebi)
	file := f.file("key")
	file.ResumableUploads = []s3.OpenUpload{{Key: "key", UploadID: "u"}}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, "key", f.content)
}
