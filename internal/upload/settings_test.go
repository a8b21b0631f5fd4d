package upload

import (
	"maps"
	"net/http"
	"sync/atomic"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// leftWith opens an upload with metadata that holds the first part of some content.
func (r *rig) leftWith(t *testing.T, key string, content []byte, metadata map[string]string) s3.OpenUpload {
	t.Helper()
	u, err := r.client.CreateUpload(t.Context(), s3.Object{Key: key, Metadata: metadata}, s3.ChecksumCRC64NVME)
	if err != nil {
		t.Fatal(err)
	}
	b := s3.ContentBody(s3.ChecksumCRC64NVME, content[:8*mebi], s3.Section{})
	if _, err := r.client.UploadPart(t.Context(), u, 1, s3.ChecksumCRC64NVME, b); err != nil {
		t.Fatal(err)
	}
	return u
}

// The end of the file has changed since the upload was opened, and its time.
func TestAResumedObjectHasTheMetadataOfTheFile(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(20 * mebi)
	file := f.file("key")
	for _, c := range []struct {
		left, asked map[string]string
		creates     int
	}{
		{map[string]string{MetadataTime: "1.0"}, map[string]string{MetadataTime: "2.0"}, 1},
		{map[string]string{MetadataTime: "1.0", "more": "x"}, map[string]string{MetadataTime: "1.0"}, 1},
		{map[string]string{MetadataTime: "1.0"}, map[string]string{MetadataTime: "1.0"}, 0},
		{map[string]string{"Mixed": "x"}, map[string]string{"mIxed": "x"}, 0},
	} {
		file.ResumableUploads = []s3.OpenUpload{r.leftWith(t, file.Key, f.content, c.left)}
		file.Metadata = c.asked
		before := r.proxy.Requests(s3test.IsCreate)
		if _, err := r.Upload(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		if got := r.proxy.Requests(s3test.IsCreate) - before; got != c.creates {
			t.Errorf("%v left, %v asked: %d uploads created, want %d", c.left, c.asked, got, c.creates)
		}
		info, err := r.client.Stat(t.Context(), file.Key)
		if err != nil || c.asked[MetadataTime] != "" && !maps.Equal(info.Metadata, c.asked) {
			t.Errorf("the object has %v, want %v: %v", info.Metadata, c.asked, err)
		}
	}
	r.wantStored(t, file.Key, f.content)
	r.wantNoUploads(t)
}

// What HEAD tells to differ is made again, once, also where the server never tells it.
func TestAResumedObjectHasTheSettingsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*s3.Options)
		headers map[string]string
		creates int64
	}{
		"nothing":                     {func(*s3.Options) {}, nil, 0},
		"the bucket encrypts":         {func(*s3.Options) {}, map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}, 0},
		"another class":               {func(*s3.Options) {}, map[string]string{"X-Amz-Storage-Class": "GLACIER"}, 1},
		"no class is told":            {func(o *s3.Options) { o.StorageClass = "STANDARD_IA" }, nil, 1},
		"the class":                   {func(o *s3.Options) { o.StorageClass = "STANDARD_IA" }, map[string]string{"X-Amz-Storage-Class": "STANDARD_IA"}, 0},
		"no encryption":               {func(o *s3.Options) { o.SSE = "AES256" }, nil, 1},
		"another key":                 {withKey, map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "arn:aws:kms:r:1:key/2"}, 1},
		"the key":                     {withKey, map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "arn:aws:kms:r:1:key/1"}, 0},
		"no legal hold":               {func(o *s3.Options) { o.Asked.ObjectLock.LegalHold = true }, nil, 1},
		"tags, which HEAD never says": {func(o *s3.Options) { o.Tags = map[string]string{"retain": "7y"} }, nil, 1},
		"an ACL":                      {func(o *s3.Options) { o.Asked.ACL = "private" }, nil, 1},
		"none may be replaced":        {func(o *s3.Options) { o.NoOverwrite = true }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			f := newFile(20 * mebi)
			file := f.file("key")
			file.ResumableUploads = []s3.OpenUpload{r.leftWith(t, file.Key, f.content, nil)}
			o := r.options
			c.change(&o)
			direct := r.options
			direct.Endpoint = r.server.Endpoint
			server := newClient(t, direct)
			var creates atomic.Int64
			r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
				if s3test.IsCreate(q) {
					creates.Add(1)
					// The server at hand does not take all of the settings.
					u, err := server.CreateUpload(q.Context(), s3.Object{Key: file.Key}, s3.ChecksumCRC64NVME)
					if err != nil {
						t.Error(err)
					}
					return s3test.AnswerXML("<InitiateMultipartUploadResult><UploadId>"+u.UploadID+"</UploadId></InitiateMultipartUploadResult>")(w, q)
				}
				if q.Method != http.MethodHead {
					return false
				}
				for name, value := range c.headers {
					w.Header().Set(name, value)
				}
				return false
			})
			if _, err := newUploader(t, o, 0).Upload(t.Context(), file); err != nil {
				t.Fatal(err)
			}
			if got := creates.Load(); got != c.creates {
				t.Errorf("%d uploads created, want %d", got, c.creates)
			}
			r.wantStored(t, file.Key, f.content)
			r.wantNoUploads(t)
		})
	}
}

func withKey(o *s3.Options) { o.SSE, o.KMSKeyID = "aws:kms", "1" }

// An upload that was created and left open here is as asked, whatever HEAD tells.
func TestAnOwnUploadIsResumedWhateverIsAskedFor(t *testing.T) {
	r := newRig(t, nil)
	o := r.options
	o.Tags = map[string]string{"retain": "7y"}
	u := newUploader(t, o, 0)
	u.keepOpen = true
	f := newFile(20 * mebi)
	file := f.file("kept")
	r.proxy.Times(s3test.Always, s3test.IsComplete, s3test.Refuse(400, "ExpiredToken"))
	_, err := u.Upload(t.Context(), file)
	e := asError(t, err, s3.Credentials, s3.ReasonCredentialsExpired)
	r.proxy.Do(nil)
	before := r.proxy.Requests(s3test.Every)
	file.ResumableUploads = []s3.OpenUpload{*e.LeftOpen}
	if _, err := u.Upload(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if got := r.proxy.PartsSince(before); len(got) > 0 {
		t.Errorf("parts sent = %v, want none again", got)
	}
	r.wantStored(t, file.Key, f.content)
	r.wantNoUploads(t)
}
