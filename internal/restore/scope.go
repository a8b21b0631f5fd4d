package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"cargoship.dev/operator/internal/s3"
)

// local is trouble with the file system that is restored into, which no other look at the
// archive gets over.
type local struct{ error }

// Unwrap lets errors.Is find the cause.
func (l local) Unwrap() error { return l.error }

// localError says what was attempted. It omits the path, which is printed with the error.
func localError(op string, err error) error {
	if err == nil {
		return nil
	}
	return local{fmt.Errorf("%s: %w", op, cause(err))}
}

// cause drops the operation and the path that the os package puts around an error.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// full says that the file system takes nothing more, of any file.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// scope is what an error is about.
type scope int

const (
	// ofMember: one file; others of the same archive can be had.
	ofMember scope = iota
	// ofObject: an object and all that it holds; others can be had.
	ofObject
	// ofRun: the bucket, the connection, or the whole file system.
	ofRun
)

func scopeOf(ctx context.Context, err error) scope {
	request, isRequest := errors.AsType[*s3.Error](err)
	isLocal := errors.As(err, new(local))
	switch {
	case ctx.Err() != nil, isLocal && full(err):
		return ofRun
	case isLocal:
		return ofMember
	case errors.Is(err, s3.ErrNotFound), isRequest && request.AboutObject():
		return ofObject
	case isRequest, errors.As(err, new(readError)):
		return ofRun
	default:
		// What was read is damaged, from here on.
		return ofMember
	}
}

// Transient says that a server has not answered as it should, and may do so a little later.
func Transient(err error) bool {
	e, ok := errors.AsType[*s3.Error](err)
	return ok && e.Class == s3.Transient
}

// scope is that of an error, where what the server can't answer now is about the run if another process goes on with it.
func (r *restorer) scope(ctx context.Context, err error) scope {
	s := scopeOf(ctx, err)
	if s == ofObject && r.handsOver && Transient(err) {
		return ofRun
	}
	return s
}

// ending is the error of a run that cannot go on.
func ending(path string, err error) error {
	if !errors.As(err, new(local)) {
		return err
	}
	advice := "free up space and rerun; files that are complete are not fetched again"
	if errors.Is(err, syscall.EROFS) {
		advice = "restore into a writable file system"
	}
	return fmt.Errorf("restore %q: %w: %s", path, err, advice)
}
