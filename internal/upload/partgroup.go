package upload

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/s3"
)

// partGroup sends the parts of one object side by side. Once one of them meets what concerns more than this object,
// a name that does not resolve or credentials that have expired, no more begin; those under way, which would be
// sent again from their beginning, have blockedPatience to end. Any other error ends them at once.
type partGroup struct {
	group *errgroup.Group
	// sending is the context of parts under way; beginning ends once no more may begin.
	sending, beginning context.Context
	end                context.CancelFunc
	stop               context.CancelCauseFunc
}

// blockedPatience lets some parts of 8 MiB through a thin path.
const blockedPatience = 30 * time.Second

// newPartGroup returns a group; end is to be called when all is done.
func newPartGroup(ctx context.Context) *partGroup {
	g := &partGroup{}
	g.group, ctx = errgroup.WithContext(ctx)
	g.sending, g.end = context.WithCancel(ctx)
	g.beginning, g.stop = context.WithCancelCause(g.sending)
	return g
}

func (g *partGroup) start(send func() error) {
	g.group.Go(func() error { return g.ended(send()) })
}

// wait returns the first error once all parts have ended.
func (g *partGroup) wait() error { return cmp.Or(g.group.Wait(), g.blocked()) }

// ended takes in how a part ended, and returns the error that is to end the others, too.
func (g *partGroup) ended(err error) error {
	if err == nil || g.blocked() != nil {
		return nil
	}
	if !blocksOthers(err) {
		return err
	}
	g.stop(err)
	timer := time.AfterFunc(blockedPatience, g.end)
	context.AfterFunc(g.sending, func() { timer.Stop() })
	return nil
}

// blocked returns what keeps parts from beginning, or nil.
func (g *partGroup) blocked() error {
	if cause := context.Cause(g.beginning); blocksOthers(cause) {
		return cause
	}
	return nil
}

// blocksOthers reports whether an error says that nothing else will get through either.
func blocksOthers(err error) bool {
	e, ok := errors.AsType[*s3.Error](err)
	return ok && e.Blocks() && !e.AboutObject()
}
