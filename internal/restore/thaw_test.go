package restore_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// frozen is a bucket whose objects are in Glacier.
type frozen struct{ *bucket }

func (f frozen) Stat(ctx context.Context, key string) (s3.ObjectInfo, error) {
	info, err := f.bucket.Stat(ctx, key)
	info.Storage = s3.Storage{Class: "GLACIER", Frozen: true}
	return info, err
}

func (f frozen) Thaw(context.Context, string, s3.Storage, s3.ThawRequest) error { return nil }

// toThaw is how many objects a restore has thawed.
func toThaw(t *testing.T, b *bucket, o restore.Options) int64 {
	t.Helper()
	return surveyed(t, b, o, o.Catalog.Select(t.Context(), o.Selection))
}

// thawedOf is how many of them are for an archive.
func thawedOf(t *testing.T, b *bucket, o restore.Options, m archive.Manifest) int64 {
	t.Helper()
	return surveyed(t, b, o, func(yield func(archive.Manifest, error) bool) { yield(m, nil) })
}

func surveyed(t *testing.T, b *bucket, o restore.Options, manifests iter.Seq2[archive.Manifest, error]) int64 {
	t.Helper()
	var err error
	if o.Catalog, err = restore.Open(t.Context(), frozen{b}, "base", ""); err != nil {
		t.Fatal(err)
	}
	thawer, err := restore.NewThawer(o, s3.ThawRequest{Days: 1, Tier: "Bulk"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer thawer.Close() //nolint:errcheck // Nothing was written through it.
	f, err := thawer.Survey(t.Context(), manifests)
	if err != nil {
		t.Fatal(err)
	}
	return f.Total().Objects
}

// Neither what is restored already nor what is kept is thawed, of whatever kind.
func TestOnlyWhatIsFetchedIsThawed(t *testing.T) {
	b := archived(t, twoNames(t), zstd())
	for _, name := range []string{"a", "b"} {
		o := restore.Options{Catalog: catalog(t, b), Dir: t.TempDir(), Selection: restore.Selection{name}}
		if n := toThaw(t, b, o); n != 1 {
			t.Errorf("%s: %d objects are thawed for it, want 1", name, n)
		}
		run(t, b, o)
		if n := toThaw(t, b, o); n != 0 {
			t.Errorf("%s is restored, and %d objects are thawed for it", name, n)
		}
		o.Dir, o.Conflicts = t.TempDir(), restore.Keep
		write(t, o.Dir, name, 7)
		if n := toThaw(t, b, o); n != 0 {
			t.Errorf("%s is kept, and %d objects are thawed for it", name, n)
		}
	}
}
