package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

func TestManifestNamesEveryEntry(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.options.Fetch = func(context.Context, string, int64) (archive.Archive, error) {
			return archive.Archive{Prefix: "a", Number: 7, Entries: []archive.Entry{
				{Path: "a/file", Size: 3},
				{Path: "a/gone", Size: 4},
				{Path: "a/bad\xff", Failed: archive.ReasonNameNotUTF8, Size: 5},
				{Path: "a/socket", Skipped: archive.ReasonSocket},
			}}, nil
		}
		b.dest.answer = func(key string) error {
			if key == "base/a/gone" {
				return &s3.Error{Class: s3.Source, Reason: archive.ReasonVanished, Op: "read", Key: key, Err: errors.New("gone")}
			}
			return nil
		}
		b.run()
		b.on("a", 4, 7)
		b.renew()
		b.renew()
		after(time.Second)
		m, err := archive.DecodeManifest(b.dest.objects["base/.cargoship/uid/manifests/00/0000000007.json.zst"])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range m.Members {
			got = append(got, x.Key+" "+string(x.Outcome)+" "+x.Reason+" "+x.Checksum)
		}
		want := []string{"base/a/file Done  sum", " Failed Vanished ", " Failed NameNotUTF8 ", " Skipped Socket "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("manifest (-want +got):\n%s", diff)
		}
		f := b.Report().Finished[0]
		if *f.Done.Files != 1 || *f.Failed.Files != 2 || *f.Failed.Bytes != 4 || *f.Skipped.Files != 1 || f.Result == v1alpha1.ArchiveRetry || f.Reason != archive.ReasonVanished {
			t.Errorf("reported %+v", f)
		}
	})
}

// stuck begins tars and never ends them.
type stuck struct {
	*destination
	begun map[string]int // by prefix
}

func (s *stuck) UploadStream(ctx context.Context, f upload.Stream) (upload.Receipt, error) {
	s.mu.Lock()
	s.begun[f.Prefix]++
	s.mu.Unlock()
	<-ctx.Done()
	return upload.Receipt{}, ctx.Err()
}

// However large the windows, names of no more than maxMembers and two archives are in
// memory; but every prefix gets on.
func TestArchivesOfManyMembersWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		s := &stuck{b.dest, map[string]int{}}
		b.options.Uploader, b.files = s, 10_000
		layout := archive.Layout{Pattern: archive.Hash, Count: 2, UID: "uid", Tar: &archive.Tar{
			Name: "tar", TargetSize: archive.DefaultTargetSize, Compression: archive.Plain, LargeFile: archive.DefaultTarLargeFile,
		}}
		b.options.Layout = func(context.Context) (archive.Layout, error) { return layout, nil }
		b.run()
		b.on("00", 64, 0, 1, 2, 3, 4, 5, 6, 7, 8)
		b.renew()
		after(time.Second)
		b.on("01", 64, 0, 1, 2)
		b.renew()
		after(time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.begun["00"] < 4 || s.begun["00"] > 5 || s.begun["01"] != 1 {
			t.Errorf("%d and %d archives of 10,000 members are under way, want 4 or 5 and 1", s.begun["00"], s.begun["01"])
		}
	})
}
