package restore

import (
	"context"
	"errors"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// maxIndex is the size in bytes of the largest index that is read: whoever may write to the bucket
// may have made it.
const maxIndex = 1 << 20

// readIndex reads the index of a run, or tells why it is unusable.
func readIndex(ctx context.Context, b Bucket, base, id string) (index archive.Index, unusable, err error) {
	data, err := b.GetAtMost(ctx, archive.Layout{Base: base, UID: id}.IndexKey(), maxIndex)
	if e, ok := errors.AsType[*s3.Error](err); ok && e.Reason == s3.ReasonTooLarge {
		return index, err, nil
	}
	if err != nil {
		return index, nil, err
	}
	if index, unusable = archive.DecodeIndex(data); unusable == nil {
		unusable = index.Check(base, id)
	}
	return index, unusable, nil
}
